"""The symbols a card is asked with: a few whole commands of the declaration, and what a user does in a dialogue."""

from pathlib import Path
from typing import Final, TypeAlias

from bsim.apdu import CommandApdu
from bsim.applets.proactive import HIDDEN_INPUT, CommandType, Result, TerminalResponse
from bsim.fuzz import cards
from bsim.fuzz.finding import read_line
from bsim.fuzz.grammar import Entry, grammar
from bsim.fuzz.steps import ANSWERS, POWER_CYCLE, Step, StepError, send
from bsim.spec import Danger, spec

Alphabet: TypeAlias = dict[str, Step]

MOST: Final = 15
RESET: Final = "RESET"
RIGHT: Final = "TERMINAL_RESPONSE.right"
GIVES_UP: Final = "TERMINAL_RESPONSE.gives-up"
_TEST_CARD: Final = "test"

# States of a card's life in the declaration, by the kind of card that is in one.
LIFE: Final = {
    "operational": "operational",
    "personalised": "personalised",
    "factory": "factory",
    "recovery": "recovery",
    "locked": "blocked",
    "terminated": "terminated",
}
# A blocked card could be unblocked by RESTORE SEED alone; what changes a card's life is no symbol.
_CHOSEN: Final = (
    "GET_ICCID",
    "STATUS",
    "GET_VERSION",
    "VERIFY_BPIN",
    "EXPORT_PUBKEYS",
    "SIGN",
    "EXPORT_SEED",
    "GENERATE_SEED",
)


class AlphabetError(ValueError):
    """A file that holds no alphabet; the message says what is wrong with it."""


def default(life: str | None, bpin: str = cards.BPIN) -> Alphabet:
    """Answer the symbols for a card in a state of its life (None: not known), none of which changes that."""
    by_name = grammar().by_name
    symbols = {f"SELECT.{name}": send(_select(name)) for name in ("wallet", "issuer")}
    symbols |= {name: send(example(by_name[name])) for name in _CHOSEN if _keeps(by_name[name], life)}
    symbols["TERMINAL_PROFILE"] = send(example(by_name["TERMINAL_PROFILE"]))
    symbols["FETCH"] = send(bytes((by_name["FETCH"].command.cla[0], by_name["FETCH"].command.ins, 0, 0, 0)))
    symbols[RIGHT] = answer(Result.PERFORMED, bpin)
    symbols[GIVES_UP] = answer(Result.TERMINATED_BY_USER, None)
    return symbols | {RESET: POWER_CYCLE}


def read(path: Path, bpin: str = cards.BPIN) -> Alphabet:
    """Read a file, a line a symbol: its name, then its bytes as a finding has them. AlphabetError otherwise.

    Whatever the file types for the right BPIN, it is `bpin` that is typed: files hold nobody's PIN.
    """
    symbols: Alphabet = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                name, step, _ = read_line(line)
                symbols[name] = answer(Result.PERFORMED, bpin) if name == RIGHT else step
    except (OSError, UnicodeDecodeError) as fault:
        raise AlphabetError(f"{path}: {fault}") from fault
    except StepError as fault:
        raise AlphabetError(f"{path}: {fault}") from fault
    if not 1 <= len(symbols) <= MOST:
        raise AlphabetError(f"{path}: {len(symbols)} symbols; from 1 to {MOST} can be learned in reasonable time")
    return symbols


def _keeps(entry: Entry, life: str | None) -> bool:
    """Whether a command changes nothing that the card keeps."""
    refuses = spec().applets["wallet"].life_cycle[life].refuses if life else {}
    return entry.command.danger in {Danger.SAFE, Danger.CONSUMES_TRY} or entry.name in refuses


def _select(applet: str) -> bytes:
    aid = spec().applets[applet].aids[0]
    return bytes((0, grammar().by_name["SELECT"].command.ins, 4, 12, len(aid))) + aid


def example(entry: Entry) -> bytes:
    """Answer the bytes of the declaration's first example that ends well on the test card, or of its first."""
    examples = entry.command.examples
    good = [one.command for one in examples if one.card == _TEST_CARD and one.sw.startswith(("90", "91"))]
    return (good or [examples[0].command])[0]


def answer(result: Result, text: str | None) -> Step:
    """Answer what a user does in a dialogue: types a text, or ends it otherwise."""
    entry = grammar().by_name["TERMINAL_RESPONSE"].command
    data = TerminalResponse(1, CommandType.GET_INPUT, HIDDEN_INPUT, result, text).encode()
    return send(CommandApdu(entry.cla[0], entry.ins, 0, 0, data).encode(), ANSWERS)
