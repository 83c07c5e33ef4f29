"""Asking the user: pages of text on the phone, then yes or no. Whatever is not a yes is a no.

Text is never truncated: what does not fit a proactive command goes on on the next page.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final
from unicodedata import category

from bsim.applets.bpin import Dialogue
from bsim.applets.proactive import (
    HIGH_PRIORITY,
    WAIT_FOR_USER,
    YES_NO,
    CommandType,
    ProactiveCommand,
    Result,
    TerminalResponse,
    encode_text,
)

if TYPE_CHECKING:
    from bsim.applets.wallet_session import WalletSession

# A proactive command of 255 bytes at most: less tag and length (3), command details (5), device identities (4), and
# tag and length of the text string (3). ETSI TS 102 223 6.6.1, annex C.
MOST: Final = 240
_YES: Final = "\1"
_INDENT: Final = "  "
# What is drawn as nothing or as a blank, though it is a letter, a mark or a symbol: of Unicode's
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt) what `category` does not tell, and the empty braille pattern.
_BLANK: Final = frozenset(
    map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, 0xFFA0))
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


def confirm(session: "WalletSession", pages: Sequence[str], then: Callable[[bool], None]) -> None:
    """Show all pages but the last, ask yes or no with the last, and tell `then`; SwError 6985 if the card cannot ask.

    `then` hears True for a yes to the last page after all others were seen, and False when the user said no, ended
    the dialogue or did not answer, or the terminal could not show it. It hears nothing after a reset, and False where
    the channel was closed meanwhile.
    """
    cut = [part for page in pages for part in paginate(page)]

    def show(number: int) -> None:
        session.card.toolkit.ask(
            _command(cut[number], last=number == len(cut) - 1), lambda seen: answered(number, seen)
        )
        session.dialogue = Dialogue.CONFIRMATION

    def answered(number: int, response: TerminalResponse) -> None:
        session.dialogue = None
        if not session.open:
            then(False)
        elif response.result == Result.BACKWARD_MOVE:
            show(max(number - 1, 0))
        elif not response.performed:
            then(False)
        elif number < len(cut) - 1:
            show(number + 1)
        else:
            then(response.text == _YES)

    show(0)


def page(title: str, lines: Iterable[tuple[str, str]]) -> str:
    """Write a title and labelled lines; what goes on for several lines is indented, so that none looks like a label."""
    rows = [title, *(f"{label}: {text}" for label, text in lines)]
    return "\n".join(visible(row).replace("\n", f"\n{_INDENT}") for row in rows)


def visible(text: str) -> str:
    """Write what cannot be seen as its number: a text must not hide, reorder or imitate what stands beside it."""
    return "".join(one if one == "\n" or not _hidden(one) else f"<{ord(one):X}>" for one in text)


def paginate(text: str) -> Iterator[str]:
    """Cut a text into pages that fit a proactive command, at the end of a line where there is one."""
    while not _fits(text):
        most = _longest(text)
        # A page ends before a line that would not be whole.
        end = text.rfind("\n", 0, most + 1)
        if end > 0:
            yield text[:end]
            text = text[end + 1 :]
        else:
            # A line longer than a page is cut where it falls. It goes on indented: who chooses its length must not
            # choose what looks like a label at the top of the next page.
            yield text[:most]
            text = _INDENT + text[most:]
    yield text


def _longest(text: str) -> int:
    """How many characters fit, at least; found by halving, as a page of two codings has no simple measure."""
    low, high = 1, MOST
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits(text[:middle]) else (low, middle - 1)
    return low


def _fits(text: str) -> bool:
    return len(text) <= MOST and len(encode_text(text)) <= MOST


def _hidden(character: str) -> bool:
    # Unicode 4.5: controls, format characters such as those of direction, surrogates, unassigned; separators but the
    # space itself, whose width is the font's.
    return category(character)[0] == "C" or character in _BLANK or (category(character)[0] == "Z" and character != " ")


def _command(text: str, *, last: bool) -> ProactiveCommand:
    if last:
        return ProactiveCommand(CommandType.GET_INKEY, YES_NO, text)
    return ProactiveCommand(CommandType.DISPLAY_TEXT, HIGH_PRIORITY | WAIT_FOR_USER, text)
