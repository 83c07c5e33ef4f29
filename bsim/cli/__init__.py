"""The command line: one module a verb, imported when it is typed. `main` turns expected faults into exit codes.

0 done; 1 the card refused, or a check failed; 2 wrong usage, or no such card; 130 interrupted; 141 nobody reads.
"""

import argparse
import io
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, Protocol, cast

from bsim import __version__
from bsim.cli.ends import Terminated, die, left_unread, stand_in_for_closed_streams, terminated

VERBS: Final = {
    "new": "make a card file",
    "card": "look at a card file, check it, change what protects it",
    "serve": "put a card into a PC/SC reader (vpcd), or on a web server with a console",
    "test-server": "cards for tests in any language, over HTTP",
    "apdu": "send command APDUs, and see them explained",
    "wallet": "what a wallet app does: accounts, derive, sign, BPIN, backup, restore",
    "assets": "the collectibles a card lists: list, add, remove, show, transfer, import; contacts",
    "record": "write everything an app says to a card into a trace, without secrets",
    "replay": "a recorded card: look at it, or put it into a reader again",
    "relay": "stand between an app and a card: show, record, edit",
    "trace": "read a trace; export it for Wireshark, pytest, transcripts",
    "coverage": "what of the declared commands a test run exercised",
    "conform": "whether a card does what the declaration says, command by command",
    "diff": "send the same to two cards, and see where they differ",
    "fuzz": "send what no wallet would send, and see that nothing comes of it",
    "fleet": "thousands of cards made from one seed",
    "spec": "the command reference",
    "readers": "list the PC/SC readers, and watch what comes and goes",
    "bench": "what things cost, against floors and other libraries",
    "doctor": "what is installed, what is not, and what fixes it",
    "demo": "sign a transaction with a card, from start to end",
}
_EPILOG: Final = """\
a TARGET is a card: FILE.bsim, reader:NAME (a part of its name, or its number), replay:FILE (a
recorded one) or ram (a new one, gone afterwards)

examples:
  bsim demo
  bsim new card.bsim
  bsim wallet derive ethereum --on card.bsim
  bsim serve --on card.bsim

bsim VERB --help has more. Exit codes: 0 done, 1 refused by the card, 2 wrong usage or no such card.
"""
INTERRUPTED: Final = 130
UNREAD: Final = 141
"""128 and SIGPIPE, as for other programs whose output nobody reads to its end."""


class Verb(Protocol):
    """What a verb's module holds."""

    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's options."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; answers the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; answers the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    stand_in_for_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # where a terminal's encoding has no such character, show another
            stream.reconfigure(errors="replace")
    try:
        with terminated():
            return _written(words)
    except Terminated:
        return die(signal.SIGTERM)
    except SystemExit as end:  # argparse's way to end, after help or a usage error
        return end.code if isinstance(end.code, int) else 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as fault:
        if isinstance(fault, BrokenPipeError) and left_unread():
            return UNREAD
        from bsim.cli.faults import explain

        code, words_ = explain(fault)
        if code is None:
            raise
        print(f"bsim: {words_}", file=sys.stderr)
        return code


def _written(words: Sequence[str]) -> int:
    """Run, and write all out: what cannot be is told as other faults are, and not by the interpreter as it ends."""
    try:
        code = _run(words)
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return code


def _run(words: Sequence[str]) -> int:
    chosen = next((word for word in words if not word.startswith("-")), "")
    parser = argparse.ArgumentParser(
        prog="bsim",
        description="The BSIM blockchain SIM card as software.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bsim {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    verb: Verb | None = None
    # A verb that comes first is all that is asked for: the parsers of the others would take a tenth of a start.
    asked = {chosen: VERBS[chosen]} if chosen in VERBS and words[0] == chosen else VERBS
    for name, summary in asked.items():
        if name == chosen:
            verb = cast(Verb, import_module(f"bsim.cli.{name.replace('-', '_')}"))
            sub = verbs.add_parser(
                name,
                help=summary,
                description=f"{summary[0].upper()}{summary[1:]}.",
                epilog=verb.EXAMPLES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            verb.add_arguments(sub)
        else:
            verbs.add_parser(name, help=summary, add_help=False)
    args = parser.parse_args(words)
    if verb is None:
        parser.print_help(sys.stderr)
        return 2
    return verb.run(args)
