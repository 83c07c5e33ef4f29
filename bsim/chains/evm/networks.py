"""Chain ids (EIP-155) of well known networks and the coins they count in. Every EVM coin has 18 decimals."""

from typing import Final, NamedTuple

from bsim.chains.amounts import ETHER, decimal


class Network(NamedTuple):
    """A network's name and its coin's symbol."""

    name: str
    coin: str


# From the registry of ethereum-lists/chains.
NETWORKS: Final[dict[int, Network]] = {
    1: Network("Ethereum", "ETH"),
    10: Network("OP Mainnet", "ETH"),
    25: Network("Cronos", "CRO"),
    30: Network("Rootstock", "RBTC"),
    56: Network("BNB Smart Chain", "BNB"),
    61: Network("Ethereum Classic", "ETC"),
    66: Network("OKXChain", "OKT"),
    71: Network("Conflux eSpace Testnet", "CFX"),
    97: Network("BNB Smart Chain Testnet", "tBNB"),
    100: Network("Gnosis", "xDAI"),
    128: Network("Huobi ECO Chain", "HT"),
    130: Network("Unichain", "ETH"),
    137: Network("Polygon", "POL"),
    146: Network("Sonic", "S"),
    250: Network("Fantom", "FTM"),
    324: Network("ZKsync", "ETH"),
    1030: Network("Conflux eSpace", "CFX"),
    1101: Network("Polygon zkEVM", "ETH"),
    1284: Network("Moonbeam", "GLMR"),
    5000: Network("Mantle", "MNT"),
    8217: Network("Kaia", "KAIA"),
    8453: Network("Base", "ETH"),
    17000: Network("Holesky", "ETH"),
    42161: Network("Arbitrum One", "ETH"),
    42170: Network("Arbitrum Nova", "ETH"),
    42220: Network("Celo", "CELO"),
    43114: Network("Avalanche C-Chain", "AVAX"),
    59144: Network("Linea", "ETH"),
    80002: Network("Polygon Amoy", "POL"),
    81457: Network("Blast", "ETH"),
    84532: Network("Base Sepolia", "ETH"),
    421614: Network("Arbitrum Sepolia", "ETH"),
    534352: Network("Scroll", "ETH"),
    560048: Network("Hoodi", "ETH"),
    11155111: Network("Sepolia", "ETH"),
    11155420: Network("OP Sepolia", "ETH"),
}


def network(chain_id: int) -> str:
    """Write a chain by its name and id, or "chain N"."""
    known = NETWORKS.get(chain_id)
    return f"{known.name} ({chain_id})" if known else f"chain {chain_id}"


def amount(chain_id: int, value: int) -> str:
    """Write wei in the chain's coin; for a chain that is not known, in "units" of 18 decimals."""
    known = NETWORKS.get(chain_id)
    return f"{decimal(value, ETHER)} {known.coin if known else f'coins of chain {chain_id}'}"
