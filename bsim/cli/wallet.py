"""`bsim wallet`: what a wallet app does with a card."""

import argparse
from typing import TYPE_CHECKING

from bsim.cli.common import add_handset, add_json, add_target
from bsim.cli.wrappers import add_wrappers

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = """\
examples:
  bsim wallet derive ethereum --on card.bsim
  bsim wallet accounts --on card.bsim
  bsim wallet sign --slot 1 --on card.bsim \\
      0x9c22ff5f21f0b81b113e63f7db6da94fedef11b2119b4088b89664fb9a3cb658
  bsim wallet tx samples/transfer.json --on card.bsim  shown on the phone, signed on yes
  bsim wallet login message.txt --on card.bsim --remember 20 --until 2030-01-01
  bsim wallet attest --slot 1 --on card.bsim
  bsim wallet bpin change --new-bpin 271828 --on card.bsim
  BSIM_KEY2=Passw0rd bsim wallet backup backup.json --on card.bsim
  bsim wallet restore backup.json --key2-file key2.txt --on other.bsim

key2, the password of a backup, comes from --key2-file, BSIM_KEY2 or the terminal; --key2 shows in
process lists.
"""
_KEY2_EXAMPLES = """\
examples:
  bsim wallet {verb} backup.json --on card.bsim                        key2 is asked for on the terminal
  bsim wallet {verb} backup.json --on card.bsim --key2-file key2.txt
  BSIM_KEY2=Passw0rd bsim wallet {verb} backup.json --on card.bsim
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", title="what to do", required=True)
    _verb(verbs, "accounts", "list the keys in the card's slots")
    derive = _verb(verbs, "derive", "make the key of the next free slot", "derive solana", "derive 60")
    derive.add_argument("coin", metavar="COIN", help="a SLIP-44 number, or a name: ethereum, conflux, solana, bitcoin")
    derive.add_argument("--algorithm", choices=["secp256k1", "ed25519", "sm2", "p256"], help="default: the coin's own")
    sign = _verb(verbs, "sign", "sign a digest, and check the signature", f"sign --slot 1 {'9c' * 32}")
    sign.add_argument("--slot", type=int, required=True, help="the key's slot, 1 to 127")
    sign.add_argument("--coin", metavar="COIN", help="the slot's coin (default: looked up)")
    sign.add_argument("digest", metavar="HEXDIGEST", help="32 bytes in hex; any bytes for an Ed25519 slot")
    bpin = _verb(
        verbs, "bpin", "have the card verify or change its BPIN", "bpin verify", "bpin change --new-bpin 271828"
    )
    bpin.add_argument("action", choices=["verify", "change"])
    bpin.add_argument("--new-bpin", help="the six digits a scripted handset types as the new BPIN")
    backup = _verb(verbs, "backup", "write the seed, encrypted under key2, and what was derived", key2=True)
    backup.add_argument("file", metavar="FILE", nargs="?", help="where to; never overwritten (default: stdout)")
    restore = _verb(verbs, "restore", "give the card a backup's seed, and derive the same keys again", key2=True)
    restore.add_argument("file", metavar="FILE", help="a backup; - reads stdin")
    _verb(verbs, "version", "the wallet applet's version")
    _verb(verbs, "iccid", "the card's ICCID")
    _signing(verbs)
    _extended(verbs)


def _signing(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What is shown before it is signed."""
    shown = "; the phone shows it first"
    tx = _verb(
        verbs, "tx", f"sign a transaction of a JSON file{shown}", "tx samples/transfer.json", "tx core.json --slot 2"
    )
    tx.add_argument(
        "file",
        metavar="FILE",
        help="JSON as libraries write it, unsigned: chainId, nonce, gas, maxFeePerGas and maxPriorityFeePerGas or"
        " gasPrice, to, value, data; - is stdin",
    )
    tx.add_argument(
        "--family", choices=["evm", "conflux", "chainmaker", "fisco-bcos"], help="default: told by its fields"
    )
    message = _verb(
        verbs, "message", f"sign a message (EIP-191, CIP-23){shown}", 'message "Hello"', "message --hex 0x00ff"
    )
    message.add_argument("text", metavar="TEXT", nargs="?", help="the message, in UTF-8")
    message.add_argument("--hex", metavar="HEX", help="any bytes instead")
    message.add_argument("--file", metavar="FILE", help="a file's bytes instead; - is stdin")
    typed = _verb(verbs, "typed-data", f"sign typed data (EIP-712, CIP-23){shown}", "typed-data permit.json")
    typed.add_argument("file", metavar="FILE", help="types, domain, primaryType and message as JSON; - is stdin")
    login = _verb(
        verbs,
        "login",
        f"sign in to a site (EIP-4361){shown}, unless its domain was allowed",
        "login message.txt",
        "login message.txt --remember 20 --until 2030-01-01",
    )
    login.add_argument("file", metavar="FILE", help="the message as the site wrote it; - is stdin")
    login.add_argument("--remember", metavar="N", type=int, help="ask the user for N more times without asking")
    login.add_argument("--until", metavar="DATE", help="when that ends: 2030-01-01, or a date-time")
    for parser in (tx, message, typed, login):
        parser.add_argument(
            "--slot", type=int, help="the key's slot (default: the one of the account it names, or that fits)"
        )


def _extended(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What else cards of the extended profile have."""
    _verb(verbs, "status", "where the card stands: its life, BPIN, slots, what it can do")
    address = _verb(verbs, "address", "a slot's address as the card writes it", "address --slot 1")
    address.add_argument("--slot", type=int, required=True, help="the key's slot, 1 to 127")
    seed = _verb(
        verbs, "import", "give a card without a seed one that is known", "import", "import --file mnemonic.txt"
    )
    seed.add_argument(
        "--file",
        metavar="FILE",
        help="its first line (- is stdin): a mnemonic, or entropy in hex (default: asked for)",
    )
    policies = _verb(verbs, "policies", "the domains it logs in to without asking", "policies", "policies --forget 1")
    policies.add_argument("--forget", metavar="N", type=int, help="take the permission of this number back")
    attest = _verb(
        verbs,
        "attest",
        "prove that a slot's key lives in this card",
        "attest --slot 1",
        "attest --slot 1 --challenge 0011223344556677",
    )
    attest.add_argument("--slot", type=int, required=True, help="the key's slot, 1 to 127")
    attest.add_argument("--challenge", metavar="HEX", help="8 to 64 bytes (default: 32 random ones)")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    *examples: str,
    key2: bool = False,
) -> argparse.ArgumentParser:
    lines = "".join(f"  bsim wallet {example} --on card.bsim\n" for example in examples or (name,))
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_KEY2_EXAMPLES.format(verb=name) if key2 else f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_target(parser)
    add_handset(parser)
    if key2:
        given = parser.add_mutually_exclusive_group()
        given.add_argument("--key2", metavar="TEXT", help="the backup's password; - reads a line of stdin")
        given.add_argument("--key2-file", metavar="FILE", help="a file with the password in its first line")
    add_json(parser)
    add_wrappers(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    from bsim.cli import wallet_backup, wallet_bpin, wallet_card, wallet_keys, wallet_sign

    table: dict[str, Callable[[argparse.Namespace], int]] = {
        "accounts": wallet_keys.accounts,
        "derive": wallet_keys.derive,
        "sign": wallet_keys.sign,
        "version": wallet_keys.version,
        "iccid": wallet_keys.iccid,
        "bpin": wallet_bpin.bpin,
        "backup": wallet_backup.backup,
        "restore": wallet_backup.restore,
        "tx": wallet_sign.tx,
        "message": wallet_sign.message,
        "typed-data": wallet_sign.typed,
        "login": wallet_sign.login,
        "status": wallet_card.status,
        "address": wallet_card.address,
        "import": wallet_card.import_seed,
        "policies": wallet_card.policies,
        "attest": wallet_card.attest,
    }
    return table[args.what](args)
