"""`--record`, `--fault` and their like: what verbs may put between an app and its card."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bsim.cli.common import UsageError, ending, note

if TYPE_CHECKING:
    from threading import Event

    from bsim.handset import User
    from bsim.lab.fault_rules import Rule
    from bsim.lab.record import TraceWriter
    from bsim.ports import Card


def add_wrappers(parser: argparse.ArgumentParser, *, link: str = "in-process", rules: str = "--faults") -> None:
    """All of them; `link` is how apps reach the card by this verb, and goes into traces."""
    parser.add_argument("--record", metavar="FILE", type=Path, help="write a trace, FILE.bsimtrace, without secrets")
    parser.add_argument("--redact-ciphertext", action="store_true", help="leave exported seeds out of the trace too")
    add_faults(parser, rules)
    parser.set_defaults(link=link)


def add_faults(parser: argparse.ArgumentParser, rules: str = "--faults") -> None:
    """`--fault`, a file of such rules, and `--fault-seed`."""
    parser.add_argument(
        "--fault", metavar="RULE", action="append", default=[], help="misbehave: 'on SIGN nth 3 answer 6985'"
    )
    parser.add_argument(rules, dest="faults", metavar="FILE", type=Path, help="a file of rules; docs/faults.md has all")
    parser.add_argument("--fault-seed", metavar="N", type=int, help="makes the faults the same again (default: drawn)")


class Wrapping(NamedTuple):
    """What was asked for: a trace, and rules."""

    trace: "TraceWriter | None"
    rules: "tuple[Rule, ...]"
    seed: int | None
    link: str
    ends: "Event"
    """A delay ends with whoever serves the card."""
    link_rules: "tuple[Rule, ...]" = ()

    def user(self, user: "User") -> "User":
        """The phone's user, whose dialogues are recorded if anything is."""
        return self.trace.watch(user) if self.trace else user

    def card(self, card: "Card") -> "Card":
        """The card as the app gets it; the trace has what the app sees, faults and all."""
        if self.rules:
            from bsim.lab.faults import Faults

            card = faults = Faults(card, self.rules, seed=self.seed, sleep=self._sleep)
            if self.seed is None:
                note(f"--fault-seed {faults.seed} makes these faults the same again")
        return self.recorded(card)

    def _sleep(self, seconds: float) -> None:
        self.ends.wait(seconds)

    def recorded(self, card: "Card") -> "Card":
        """The card, recorded if that was asked for."""
        if self.trace is None:
            return card
        from bsim.lab.record import Recorder

        return Recorder(card, self.trace)


@contextmanager
def wrapping(args: argparse.Namespace) -> Iterator[Wrapping]:
    """Read the options of `add_wrappers`, if the verb has them; TraceError at the end if the trace is incomplete."""
    given = vars(args)
    with ExitStack() as stack:
        trace = None
        rules = _rules(given.get("fault", []), given.get("faults"))
        path: Path | None = given.get("record")
        if rules or path is not None:
            stack.enter_context(told())
        if path is not None:
            from bsim.lab.record import TraceWriter

            trace = TraceWriter(path, target=args.on, link=args.link, redact_ciphertext=args.redact_ciphertext)
            stack.enter_context(trace)
        link = given.get("link", "")
        on_link = tuple(rule for rule in rules if rule.on_link)
        if on_link and not given.get("ble"):
            raise UsageError(f"{on_link[0].actions[0].kind} is done by a link with frames: `bsim serve --ble`")
        on_card = tuple(rule for rule in rules if not rule.on_link)
        yield Wrapping(trace, on_card, given.get("fault_seed"), link, ending(args), on_link)


@contextmanager
def told() -> Iterator[None]:
    """What links and faults have to say goes to stderr, once however often it is asked for."""
    logger = logging.getLogger("bsim")
    if any(isinstance(handler, _Told) for handler in logger.handlers):
        yield
        return
    handler, level, propagate = _Told(sys.stderr), logger.level, logger.propagate
    handler.setFormatter(logging.Formatter("bsim: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a library may set up the root logger unasked; nothing is told twice
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.setLevel(level)
        logger.removeHandler(handler)


class _Told(logging.StreamHandler):  # type: ignore[type-arg]  # not generic at run time in Python 3.11
    pass


def _rules(texts: list[str], file: Path | None) -> "tuple[Rule, ...]":
    if not texts and file is None:
        return ()
    from bsim.lab.fault_rules import FaultError, parse, parse_file

    try:
        from_file = parse_file(file.read_text(encoding="utf-8"), str(file)) if file is not None else ()
        return (*from_file, *map(parse, texts))
    except FaultError as fault:
        raise UsageError(f"fault rule: {fault}") from fault
    except OSError as fault:
        raise UsageError(f"--faults {file}: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise UsageError(f"--faults {file}: this is no text in UTF-8") from fault
