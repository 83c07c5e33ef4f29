"""A card as a remote signer: JSON-RPC methods over the client's calls, each shown on the phone before it is signed.

The wallet applet is selected on a channel of the signer's own, which stays open: the BPIN is asked for once a power-up.
"""

import re
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final

from bsim.chains import conflux, evm
from bsim.client import Account, CardError, Signed, Wallet
from bsim.crypto.algorithm import Algorithm
from bsim.links.omapi import OnChannel, Session
from bsim.links.web.hosted import Hosted
from bsim.links.web.rpc_errors import RpcError, refused
from bsim.ports import CardLost

ETHER: Final = 60
CORE: Final = 503
_HEX: Final = re.compile("0x(?:[0-9A-Fa-f]{2})*")
Chains = dict[int, int]
"""The chain that is asked about, by coin type; wallet_switchEthereumChain and its like change it."""


class Signer:
    """The signer of one card. Its methods block while the user reads and decides; one signature at a time."""

    def __init__(self, card: Hosted, patience: float) -> None:
        self._card: Final = card
        self._patience: Final = patience
        self._turn: Final = Lock()
        self._channel: tuple[int, OnChannel] | None = None
        self.chains: Final[Chains] = {ETHER: 1, CORE: conflux.MAINNET}

    def addresses(self, coin_type: int) -> list[str]:
        """The addresses of the card's keys for a coin, as its chain writes them."""
        try:
            return [self._address(account) for account in self._accounts(self._wallet(), coin_type)]
        except CardLost as loss:
            raise RpcError(4900, str(loss)) from None

    def sign_transaction(self, coin_type: int, fields: Mapping[str, object]) -> str:
        """Have a transaction shown and signed: the raw transaction."""
        given = {"chainId": self.chains[coin_type], **{k: v for k, v in fields.items() if k != "from"}}
        kind = conflux.Transaction if coin_type == CORE else evm.Transaction
        payload = _parsed(lambda: kind.from_json(given).unsigned())
        return self._signed(coin_type, fields.get("from"), lambda wallet, slot: wallet.sign_transaction(slot, payload))

    def sign_message(self, coin_type: int, address: object, message: object) -> str:
        """Have a message shown and signed: 65 bytes r, s, v."""
        content = _parsed(lambda: _content(message))
        return self._signed(coin_type, address, lambda wallet, slot: wallet.sign_message(slot, content))

    def sign_typed_data(self, coin_type: int, address: object, document: Mapping[str, object]) -> str:
        """Have typed data shown and signed: 65 bytes r, s, v."""
        return self._signed(coin_type, address, lambda wallet, slot: wallet.sign_typed_data(slot, document))

    def _signed(self, coin_type: int, address: object, sign: Callable[[Wallet, int], Signed]) -> str:
        """Sign with the key of an address; RpcError says why not."""
        with self._turn:
            try:
                wallet = self._wallet()
                account = self._account(wallet, coin_type, address)
                if not wallet.status().verified:
                    wallet.verify_bpin()
                return "0x" + sign(wallet, account.slot).raw.hex()
            except CardError as refusal:
                raise refused(refusal) from None
            except CardLost as loss:
                raise RpcError(4900, str(loss)) from None
            except ValueError as fault:
                raise RpcError(-32602, f"nothing was signed: {fault}") from None

    def _account(self, wallet: Wallet, coin_type: int, address: object) -> Account:
        if not isinstance(address, str):
            raise RpcError(-32602, "an address is wanted")
        wanted = _account_bytes(coin_type, address)
        for account in self._accounts(wallet, coin_type):
            if _account_bytes(coin_type, self._address(account)) == wanted:
                return account
        raise RpcError(4100, "the card has no key of this address")

    def _accounts(self, wallet: Wallet, coin_type: int) -> list[Account]:
        try:
            found = wallet.accounts()
        except CardError:
            return []  # no seed, no keys
        return [one for one in found if one.coin_type == coin_type and one.algorithm is Algorithm.SECP256K1]

    def _address(self, account: Account) -> str:
        if account.coin_type == CORE:
            return conflux.address(account.public_key, self.chains[CORE])
        return evm.address(account.public_key)

    def _wallet(self) -> Wallet:
        """The card's wallet on the signer's channel, opened anew after every power-up."""
        if self._channel is None or self._channel[0] != self._card.epoch:
            channel = Session(self._card.link).open_logical_channel(None)
            if channel is None:
                raise RpcError(-32000, "the card has no logical channel left")
            self._channel = self._card.epoch, OnChannel(self._card.link.transmit, channel.number)
        return Wallet(self._channel[1], wait=self._patience, sleep=self._card.moved)


def _parsed(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except ValueError as fault:
        raise RpcError(-32602, str(fault)) from None


def _content(message: object) -> bytes:
    """A message's bytes: hex as EIP-1474 has it, or text as some libraries send it."""
    if not isinstance(message, str) or not message:
        raise ValueError("a message is wanted")
    return bytes.fromhex(message[2:]) if _HEX.fullmatch(message) else message.encode()


def _account_bytes(coin_type: int, address: str) -> bytes:
    try:
        if coin_type == CORE:
            return conflux.decode(address)[1]
        return evm.parse_address(address.lower())
    except ValueError as fault:
        raise RpcError(-32602, f"address: {fault}") from None
