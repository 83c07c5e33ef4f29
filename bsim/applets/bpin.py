"""The BPIN: asked for in a toolkit dialogue, compared in constant time, its tries spent before each comparison."""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from bsim.applets.proactive import (
    HIDDEN_INPUT,
    HIGH_PRIORITY,
    WAIT_FOR_USER,
    CommandType,
    ProactiveCommand,
    TerminalResponse,
)
from bsim.applets.wallet_state import MAX_TRIES
from bsim.spec import spec

if TYPE_CHECKING:
    from bsim.applets.wallet_session import WalletSession

BPIN_LENGTH: Final = 6
_TEXT: Final = spec().applets["wallet"].dialogue


class Dialogue(Enum):
    """What a dialogue is for."""

    VERIFY = auto()
    UPDATE = auto()
    CONFIRMATION = auto()


Entered = Callable[[bytes], None]
"""What happens with the six digits that were entered."""


def is_bpin(digits: bytes) -> bool:
    """Whether these are six ASCII digits."""
    return len(digits) == BPIN_LENGTH and digits.isdigit()


def try_bpin(session: "WalletSession", digits: bytes) -> bool:
    """Spend a try and write that down, then compare; a right BPIN gives all tries back."""
    cell = session.cell
    # Power may go between here and the end: the try is lost then, never gained.
    cell.put(replace(cell.value, tries=cell.value.tries - 1))
    session.card.commit()
    if not compare_digest(digits, cell.value.bpin):
        return False
    cell.put(replace(cell.value, tries=MAX_TRIES))
    # What a right BPIN grants is volatile, and is not granted by a command that ends with 6581.
    session.card.commit()
    return True


def verify(session: "WalletSession") -> None:
    """Open the dialogue that verifies the BPIN; SwError 6985 if the card cannot ask."""

    def verified() -> None:
        session.verified = session.open

    _ask_current(session, Dialogue.VERIFY, "enter_bpin", verified)


def update(session: "WalletSession") -> None:
    """Open the dialogue that changes the BPIN: the old one, then the new one twice; SwError 6985 as above."""

    def ask_new() -> None:
        _ask(session, Dialogue.UPDATE, "new_bpin", ask_again)

    def ask_again(new: bytes) -> None:
        _ask(session, Dialogue.UPDATE, "repeat_bpin", lambda again: change(new, again))

    def change(new: bytes, again: bytes) -> None:
        if not is_bpin(new) or not compare_digest(new, again):
            _tell(session, "bpins_differ")
            return
        session.cell.put(replace(session.cell.value, bpin=new, bpin_is_default=False))
        session.card.commit()  # the user is not told of a change that could not be written
        _tell(session, "bpin_changed")

    _ask_current(session, Dialogue.UPDATE, "enter_bpin", ask_new)


def _ask_current(session: "WalletSession", dialogue: Dialogue, prompt: str, then: Callable[[], None]) -> None:
    def entered(digits: bytes) -> None:
        if try_bpin(session, digits):
            then()
        elif session.cell.value.blocked:
            _tell(session, "bpin_blocked")
        else:
            _ask_current(session, dialogue, "wrong_bpin", then)

    _ask(session, dialogue, prompt, entered)


def _ask(session: "WalletSession", dialogue: Dialogue, prompt: str, entered: Entered) -> None:
    text = _TEXT[prompt].format(tries=session.cell.value.tries)
    command = ProactiveCommand(CommandType.GET_INPUT, HIDDEN_INPUT, text, BPIN_LENGTH, BPIN_LENGTH)

    def answered(response: TerminalResponse) -> None:
        session.dialogue = None
        if response.performed and response.text is not None:
            # What is no digit encodes to something no BPIN is, and costs a try like any wrong one.
            entered(response.text.encode())

    session.card.toolkit.ask(command, answered)
    session.dialogue = dialogue


def _tell(session: "WalletSession", message: str) -> None:
    command = ProactiveCommand(CommandType.DISPLAY_TEXT, HIGH_PRIORITY | WAIT_FOR_USER, _TEXT[message])
    session.card.toolkit.ask(command, lambda _: None)
