"""What verbs share: their common options, JSON and colours, and the faults that are a user's."""

import argparse
import json
import os
import string
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from bsim.lab.reader import ReaderOptions
    from bsim.ports import Card
    from bsim.store import Keyring

DEFAULT_BPIN: Final = "123456"


class UsageError(Exception):
    """What was typed cannot be done; the message says what to type instead."""


class CheckFailed(Exception):  # noqa: N818 - the outcome of a check, told to people
    """The card, or a check on it, said no."""


def add_target(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """`--on TARGET`; required where there is no default."""
    text = "the card: FILE.bsim, reader:NAME, replay:FILE or ram" + (f" (default: {default})" if default else "")
    parser.add_argument("--on", metavar="TARGET", required=default is None, default=default, help=text)
    add_keys(parser)
    add_reader(parser)


def add_reader(parser: argparse.ArgumentParser) -> None:
    """`--protocol`, `--exclusive` and `--card-timeout`: how a reader is used."""
    parser.add_argument("--protocol", choices=["auto", "t0", "t1"], default="auto", help="for a reader (default: auto)")
    parser.add_argument("--exclusive", action="store_true", help="keep other programs from the reader meanwhile")
    parser.add_argument(
        "--card-timeout",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="how long a card in a reader may be silent before it is called mute (default: 60)",
    )


def reader_options(args: argparse.Namespace) -> "ReaderOptions":
    """What the options of `add_reader` say; `raw` where a verb has set it."""
    from bsim.lab.reader import Protocol, ReaderOptions

    given = vars(args)
    if given.get("card_timeout", 1.0) <= 0:
        raise UsageError("--card-timeout is more than 0")
    return ReaderOptions(
        Protocol(given.get("protocol", "auto")),
        given.get("exclusive", False),
        given.get("raw", False),
        given.get("card_timeout", 60.0),
    )


def add_like(parser: argparse.ArgumentParser) -> None:
    """`--like PROFILE`: behave as another card does."""
    parser.add_argument(
        "--like",
        metavar="PROFILE",
        help="take the time another card takes and answer as it does: a file of `bsim diff --learn`, or uicc, which is"
        " an approximation of a UICC",
    )


def alike(args: argparse.Namespace, card: "Card") -> "Card":
    """The card as `--like` asks for it."""
    if not (name := vars(args).get("like")):
        return card
    from bsim.lab.likeness import Like, LikenessError, load

    try:
        return Like(card, load(name))
    except LikenessError as fault:
        raise UsageError(f"--like {fault}") from fault


def add_keys(parser: argparse.ArgumentParser) -> "argparse._MutuallyExclusiveGroup":
    """`--passphrase-file` and `--key-file`: what opens a sealed card file, each without the other."""
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument(
        "--passphrase-file",
        metavar="FILE",
        type=Path,
        help="the card file's passphrase, in a file's first line (default: BSIM_PASSPHRASE, or you are asked)",
    )
    keys.add_argument(
        "--key-file", metavar="FILE", type=Path, help="its key file (default: the one in your key folder)"
    )
    return keys


def keyring(args: argparse.Namespace) -> "Keyring":
    """What opens card files, by the options of `add_keys`: one a command line, so that nothing is asked for twice."""
    from bsim.store import Keyring

    known: Keyring | None = getattr(args, "keyring", None)
    if known is None:
        known = Keyring(passphrase_file=args.passphrase_file, key_file=args.key_file, ask=asker())
        args.keyring = known
    return known


def asker() -> "Callable[[str], str] | None":
    """How to ask a person for a secret; None where there is no terminal, where nothing is ever asked."""
    from getpass import getpass

    return getpass if sys.stdin.isatty() and sys.stderr.isatty() else None


def check_bpin(args: argparse.Namespace) -> None:
    """UsageError where `--bpin` is no BPIN, or `--tries-left` more than a card has."""
    from bsim.applets.bpin import is_bpin
    from bsim.applets.wallet_state import MAX_TRIES

    if not is_bpin(args.bpin.encode()):
        raise UsageError("a BPIN has six digits")
    if args.tries_left is not None and not 0 <= args.tries_left <= MAX_TRIES:
        raise UsageError(f"--tries-left is 0 to {MAX_TRIES}: a card has no more")


def ending(args: argparse.Namespace) -> "Event":
    """What is set when a server is told to end, so that nobody sleeps any longer: one a command line."""
    from threading import Event

    known: Event | None = getattr(args, "ending", None)
    if known is None:
        known = args.ending = Event()
    return known


def add_handset(parser: argparse.ArgumentParser) -> None:
    """`--handset` and `--bpin`: the phone around the card."""
    parser.add_argument(
        "--handset",
        metavar="right|ask|none|SCRIPT",
        help="who answers when the card asks: a user who types the BPIN and says yes (right), or types it and says no"
        " (no), you (ask), nobody (none), or a script such as wrong,wrong,right@1.5s (default: right; none for a card"
        " in a reader); after silent without a delay the dialogue stays open, and later steps are not reached",
    )
    parser.add_argument("--bpin", default=DEFAULT_BPIN, help="the six digits that `right` types (default: 123456)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`: for machines."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")  # nothing may be replaced in JSON
    print(json.dumps(value, ensure_ascii=not unicode), flush=True)


def note(text: str) -> None:
    """Tell the user something that is not the result."""
    print(f"bsim: {text}", file=sys.stderr, flush=True)


def slot_number(slot: int) -> int:
    """Answer a slot that a card may have; UsageError for a number that no slot has."""
    if not 0 < slot < 128:
        raise UsageError("--slot: 1 to 127")
    return slot


def parse_hex(text: str, what: str) -> bytes:
    """Read hex digits with spaces between bytes if wished, and 0x before them; UsageError names `what`.

    It never repeats the text, which may hold a PIN: it says where it is wrong, and what kind of character is there.
    """
    start = len(text) - len(text.lstrip())
    start += 2 * text.startswith("0x", start)
    for position, character in enumerate(text[start:], start + 1):
        if not character.isspace() and character not in string.hexdigits:
            raise UsageError(f"{what} is not hexadecimal: character {position} is {_kind(character)}")
    digits = "".join(text[start:].split())
    if len(digits) % 2:
        raise UsageError(f"{what} is not hexadecimal: it has an odd number of digits")
    return bytes.fromhex(digits)


def _kind(character: str) -> str:
    if not character.isascii():
        return "not ASCII"
    return "a letter after F" if character.isalpha() else "neither a digit nor a letter"


class Style:
    """Colours on a terminal, none elsewhere or where NO_COLOR is set (https://no-color.org)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        self._on: Final = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def bold(self, text: str) -> str:
        """What matters."""
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        """What matters less."""
        return self._paint("2", text)

    def good(self, text: str) -> str:
        """What went well."""
        return self._paint("32", text)

    def bad(self, text: str) -> str:
        """What did not."""
        return self._paint("31", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on and text else text
