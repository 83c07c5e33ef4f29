"""`bsim assets`: the collectibles a card lists, and the friends it knows by name."""

import argparse
from typing import TYPE_CHECKING

from bsim.cli.common import add_handset, add_json, add_target
from bsim.cli.wrappers import add_wrappers

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = """\
examples:
  bsim assets import --on card.bsim samples/assets.json
  bsim assets list --on card.bsim
  bsim assets list --on card.bsim --chain conflux:1029 --json
  bsim assets show 12 --on card.bsim
  bsim assets contacts add Alice 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --on card.bsim
  bsim assets transfer 12 --to Alice --nonce 7 --gas 120000 --max-fee 30gwei \\
      --max-priority-fee 1gwei --on card.bsim
"""
_CHAIN = "the chain: FAMILY:ID such as evm:1 or conflux:1029, a chain id, or a name such as ethereum"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from bsim.cli import assets_transfer

    verbs = parser.add_subparsers(dest="what", metavar="WHAT", title="what to do", required=True)
    listed = _verb(verbs, "list", "list the assets, or some of them", "list", "list --chain ethereum --slot 1 --json")
    listed.add_argument("--chain", help=f"of one chain only; {_CHAIN}")
    listed.add_argument("--contract", help="of one contract only, as its chain writes it")
    listed.add_argument("--slot", type=int, help="of one slot only, 1 to 127")
    _add_fields(
        _verb(verbs, "add", "list an asset on the card", f"add --chain ethereum --contract {_APE} --token 7537")
    )
    remove = _verb(verbs, "remove", "take assets off the list; they stay on their chains", "remove 12")
    remove.add_argument("numbers", metavar="NUMBER", type=int, nargs="+", help="as `bsim assets list` numbers them")
    show = _verb(verbs, "show", "everything about one asset", "show 12")
    show.add_argument("number", metavar="NUMBER", type=int)
    transfer = _verb(verbs, "transfer", "have an asset's transfer shown to the card's user and signed", _TRANSFER)
    assets_transfer.add_arguments(transfer)
    imported = _verb(verbs, "import", "list the assets of an indexer's export", "import samples/assets.json")
    imported.add_argument(
        "file", metavar="FILE", help='JSON: an array of assets, or an object with one under "assets"; - reads stdin'
    )
    imported.add_argument("--slot", type=int, help="list all of them under this slot, whatever the file says")
    contacts = _verb(
        verbs, "contacts", "friends by name", "contacts", f"contacts add Alice {_ALICE}", "contacts remove Alice"
    )
    contacts.add_argument("action", choices=["list", "add", "remove"], nargs="?", default="list")
    contacts.add_argument("name", metavar="NAME", nargs="?")
    contacts.add_argument("address", metavar="ADDRESS", nargs="?", help="as its chain writes it")


_APE = "0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D"
_TRANSFER = "transfer 12 --to Alice --nonce 7 --gas 120000 --max-fee 30gwei --max-priority-fee 1gwei"
_ALICE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def _add_fields(parser: argparse.ArgumentParser) -> None:
    from bsim.client.asset_json import POLICIES, STANDARDS

    parser.add_argument("--chain", required=True, help=_CHAIN)
    parser.add_argument("--contract", required=True, help="the contract, as its chain writes it")
    parser.add_argument("--token", metavar="ID", required=True, help="the token's id, decimal or 0x and hex")
    parser.add_argument("--standard", choices=list(STANDARDS), help="default: ERC-721, CRC-721 or permissioned")
    parser.add_argument("--amount", default="1", help="how many of it (default: 1)")
    parser.add_argument("--slot", type=int, default=1, help="the slot of the key that owns it (default: 1)")
    parser.add_argument("--name", default="")
    parser.add_argument("--media", metavar="URI", default="", help="ipfs://..., https://... or data:...")
    parser.add_argument("--issuer", default="")
    parser.add_argument(
        "--policy",
        metavar="FLAGS",
        default="transferable",
        help=f"what its issuer allows, with commas between: {', '.join(POLICIES)} (default: transferable)",
    )
    parser.add_argument("--acquired", metavar="TIME", default=0, help="as 2025-01-31T12:00:00Z")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str, *examples: str
) -> argparse.ArgumentParser:
    lines = "".join(f"  bsim assets {example} --on card.bsim\n" for example in examples)
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_target(parser)
    add_handset(parser)
    add_json(parser)
    add_wrappers(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    from bsim.cli import assets_change, assets_list, assets_transfer

    table: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": assets_list.list_assets,
        "show": assets_list.show,
        "add": assets_change.add,
        "remove": assets_change.remove,
        "transfer": assets_transfer.transfer,
        "import": assets_change.import_file,
        "contacts": assets_change.contacts,
    }
    return table[args.what](args)
