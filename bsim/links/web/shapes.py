"""The shapes of what several operations take and answer."""

from typing import Final

from bsim.links.web.rack import READERS
from bsim.links.web.schema import Schema, flag, listed, maybe, obj, text, whole
from bsim.profiles import PROFILES
from bsim.profiles.states import STATES

HEX: Final = "^([0-9A-Fa-f]{2})*$"
_MOST_HEX: Final = 2 * 65_545  # an extended APDU, case 4: header, lengths, 65,535 bytes

NAME: Final = text("what people call it", minLength=1, maxLength=64)
SNAPSHOT: Final = text("a snapshot's name", minLength=1, maxLength=64, pattern="^[A-Za-z0-9 ._-]+$")
COMMAND: Final = text("a command, hexadecimal", pattern=HEX, minLength=2, maxLength=_MOST_HEX)
RESPONSE: Final = text("data and status word, hexadecimal", pattern=HEX)
SW: Final = text("the status word", pattern="^[0-9A-F]{4}$")
HANDSET: Final = text(
    "who answers the card's dialogues: web (the API, or the console's visitor), none (there is no phone: 91xx is"
    " yours), or a script such as right or wrong,right@1.5s",
    minLength=1,
    maxLength=200,
)
BPIN: Final = text("six digits", pattern="^[0-9]{6}$")
READER: Final = text("the phone's slot", enum=list(READERS))
ANSWERED: Final = obj(("response", "data", "sw"), response=RESPONSE, data=text(pattern=HEX), sw=SW)
ATR: Final = obj(("atr",), atr=text("the answer to reset, hexadecimal", pattern=HEX))

CARD: Final = obj(
    ("id", "name", "target", "profile", "handset", "scripted", "reader", "power", "atr", "snapshots", "dialogues"),
    id=text("its number"),
    name=text(),
    target=text("what it is: ram, a file, a reader"),
    profile=maybe(text()),
    handset=text(),
    scripted=flag("whether a script answers its dialogues"),
    reader=maybe(text("SIM1 or SIM2 of the phone, if it is in one")),
    power=text(enum=["on", "off", "removed"]),
    atr=text(pattern=HEX),
    snapshots=listed(text()),
    dialogues=whole("how many wait for an answer"),
    trace=whole("the number of its last trace line"),
)

NEW_CARD: Final = obj(
    name=NAME,
    profile=text("which kind of card", enum=list(PROFILES)),
    state=text("an awkward card, ready-made", enum=list(STATES)),
    mnemonic=text("a BIP-39 mnemonic, for tests only; else a random seed", minLength=1, maxLength=400),
    blank=flag("no seed"),
    bpin=BPIN,
    iccid=text("19 or 20 digits", pattern="^[0-9]{19,20}$"),
    handset=HANDSET,
    reader=READER,
)

DIALOGUE: Final = obj(
    ("id", "kind", "text", "hidden"),
    id=whole(),
    kind=text("DISPLAY_TEXT, GET_INKEY (yes or no) or GET_INPUT (digits)"),
    text=text("what the phone shows"),
    hidden=flag("whether what is typed must not be shown"),
    min=whole("the least characters"),
    max=whole("the most"),
)

ERROR: Final[Schema] = obj(
    ("error",), error=obj(("type", "message"), type=text("the case, for programs"), message=text("for people"))
)
