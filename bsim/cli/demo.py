"""`bsim demo`: the main job on real input: a card signs a transaction, and somebody else checks it."""

import argparse
from typing import TYPE_CHECKING

from bsim.cli.common import CheckFailed, Style, add_json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bsim.cli.demo_story import Story

EXAMPLES = """\
examples:
  bsim demo                        the transaction that ships with bsim
  bsim demo --tx mine.json         yours: an EIP-1559 transaction, as JSON-RPC names its fields
  bsim demo --through memory       without PC/SC, whatever is installed

With pcscd, vpcd and pyscard installed all commands go through a real PC/SC stack, which is started
for the demo and seen by nobody else; without them the card is called in this process. The demo says
which, and why.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--tx", metavar="FILE", help="an unsigned EIP-1559 transaction as JSON; - is stdin")
    parser.add_argument(
        "--through",
        choices=["auto", "pcsc", "memory"],
        default="auto",
        help="how commands reach the card: PC/SC, this process's memory, or PC/SC if it is there (default)",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Tell the story."""
    from bsim.cli.demo_stage import stage
    from bsim.cli.demo_story import load, perform

    transaction = load(args.tx)
    with stage(args.through) as built:
        story = perform(built, transaction)
    if args.json:
        print_json(story.as_json())
    else:
        print("\n".join(_told(story, Style())))
    if not story.proven:
        raise CheckFailed("the sender that was recovered is not the card's account")
    return 0


def _told(story: "Story", style: Style) -> "Iterator[str]":
    def step(number: int, title: str) -> str:
        return "\n" + style.bold(f"{number}. {title}")

    yield step(1, "A card")
    yield f"   {story.path}"
    yield f"   ATR {story.atr}, ICCID {story.iccid}, applet version {story.version}"
    yield "   seed: the test mnemonic of Ethereum's developer tools, so that anybody can check what follows"
    yield step(2, "Its BPIN is changed, on the phone it is in")
    yield from (f"   phone: {text}" for text in story.dialogue)
    yield step(3, "It derives keys")
    for account in story.accounts:
        yield f"   slot {account.slot}  {account.coin:<9}{account.algorithm.name.lower():<11}{account.address or '-'}"
    yield step(4, f"A transaction from {story.source.name}")
    yield from _source(story)
    yield step(5, "The card shows on the phone what it is to sign, and signs when its user says yes")
    yield from _signing(story)
    yield step(6, f"The sender is recovered from it by {story.checker}")
    verdict = style.good("the card's account") if story.proven else style.bad("NOT the card's account")
    yield f"   {story.sender}  {verdict}"
    yield step(7, "The raw transaction, ready to send")
    yield f"   0x{story.raw.hex()}"
    yield f"   hash 0x{story.hash.hex()}"
    yield step(8, "It lists what its owner collects, as a wallet app imports it")
    yield from story.gallery.told()
    yield from _trace(story, style)


def _source(story: "Story") -> "Iterator[str]":
    from bsim.cli.show import shortened

    for name, value in story.source.shown():
        yield f"   {name:<22}{shortened(value, 60, 12)}"
    if story.foreign:
        yield f"   from is {story.foreign}, which is not the card's account"
    yield f"   {'digest':<22}{story.digest.hex()}"


def _signing(story: "Story") -> "Iterator[str]":
    for text in story.shown:
        first, *rest = text.split("\n")
        yield f"   phone: {first}"
        yield from (f"          {line}" for line in rest)
    yield f"   r         {story.r:064x}"
    yield f"   s         {story.s:064x}"
    yield f"   y parity  {story.y_parity}"


def _trace(story: "Story", style: Style) -> "Iterator[str]":
    from bsim.cli.show import brief, shortened

    told = f"The trace of the transfer: {len(story.trace)} exchanges at the card; what the user typed is masked"
    yield "\n" + style.bold(told)
    yield f"  {style.bold('reset'):<18}< {shortened(story.atr)}"
    for command, answer in story.trace:
        yield from brief(command, answer, style)
