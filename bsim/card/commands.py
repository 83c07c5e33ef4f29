"""Commands of the card itself, whatever application is selected."""

from enum import IntEnum
from typing import Final

from bsim import tlv
from bsim.applets import collectibles, issuer, signing, wallet
from bsim.applets.base import Binding
from bsim.applets.routes import Routes
from bsim.applets.session import Applet, Platform, Session
from bsim.applets.wallet_session import WalletRoutes
from bsim.sw import SW, SwError, exact_length

_MF: Final = b"\x3f\x00"
# ETSI TS 102 221 11.1.1.3: FCI and FCP templates and what is in them.
_FCI: Final = 0x6F
_FCP: Final = 0x62
_DF_NAME: Final = 0x84
_FILE_DESCRIPTOR: Final = tlv.encode(0x82, b"\x78\x21")  # a DF, shareable
_ACTIVATED: Final = tlv.encode(0x8A, b"\x05")

uicc: Final = Binding[Session]("uicc")


class Method(IntEnum):
    """How SELECT names what it wants."""

    FILE_ID = 0
    DF_NAME = 4


class Operation(IntEnum):
    """What MANAGE CHANNEL does."""

    OPEN = 0x00
    CLOSE = 0x80


class Indication(IntEnum):
    """What STATUS tells the card of the application's session. ETSI TS 102 221 11.1.2."""

    NONE = 0
    INITIALISED = 1
    TERMINATING = 2


class Form(IntEnum):
    """What STATUS is to answer."""

    FCP = 0x00
    DF_NAME = 0x01
    NO_DATA = 0x0C


@uicc.handles("SELECT")
def select(ctx: Session, method: Method, control: int, identifier: bytes) -> bytes:
    """An application by name, or the master file. ETSI TS 102 221 11.1.1."""
    if method is Method.DF_NAME:
        selected = ctx.card.select(ctx, identifier, control & 3)
    elif identifier in {b"", _MF}:
        selected = ctx.card.select_master_file(ctx)
    else:
        raise SwError(SW.FILE_NOT_FOUND, "no such file")
    # ISO/IEC 7816-4 table 63: b4 and b3 of P2 say which template is wanted.
    templates = {0x00: fci, 0x04: fcp}
    template = templates.get(control & 0x0C)
    return template(selected.applet) if template else b""


@uicc.handles("MANAGE_CHANNEL")
def manage_channel(ctx: Session, operation: Operation, channel: int) -> bytes:
    """Open or close a logical channel. ETSI TS 102 221 11.1.17."""
    if operation is Operation.OPEN:
        number = ctx.card.open_channel(ctx, channel)
        return b"" if channel else bytes((number,))
    ctx.card.close_channel(channel or ctx.channel)
    return b""


@uicc.handles("GET_RESPONSE")
def get_response(ctx: Session, le: int) -> bytes:  # noqa: ARG001 - the entry's fields
    """At APDU level nothing is ever held back: the T=0 layer serves what it holds."""
    raise SwError(SW.CONDITIONS_NOT_SATISFIED, "no response bytes wait")


@uicc.handles("STATUS")
def status(ctx: Session, indication: Indication, form: Form) -> bytes:  # noqa: ARG001 - taken, and of no consequence
    """What is selected on this channel. ETSI TS 102 221 11.1.2."""
    if form is Form.NO_DATA:
        return b""
    return fcp(ctx.applet) if form is Form.FCP else _name(ctx.applet)


@uicc.handles("TERMINAL_PROFILE")
def terminal_profile(ctx: Session, profile: bytes) -> bytes:  # noqa: ARG001 - every terminal can do what is asked of it
    """From now on the card may ask. ETSI TS 102 221 11.2.1."""
    ctx.card.toolkit.terminal = True
    return b""


@uicc.handles("FETCH")
def fetch(ctx: Session, le: int) -> bytes:
    """The command that waits; it stays when Le is too short for it. ETSI TS 102 221 11.2.3."""
    length = len(ctx.card.toolkit.waiting)
    if le < length:
        raise SwError(int.from_bytes(exact_length(length), "big"))
    return ctx.card.toolkit.fetch()


@uicc.handles("TERMINAL_RESPONSE")
def terminal_response(ctx: Session, response: bytes) -> bytes:
    """The answer goes to whoever asked. ETSI TS 102 221 11.2.4."""
    ctx.card.toolkit.answer(response)
    return b""


def fci(applet: Applet) -> bytes:
    """File control information: the name, where there is one. ISO/IEC 7816-4 7.4.3."""
    return tlv.encode(_FCI, _name(applet))


def fcp(applet: Applet) -> bytes:
    """File control parameters of a DF. ETSI TS 102 221 11.1.1.3.1."""
    name = _name(applet) or tlv.encode(0x83, _MF)
    return tlv.encode(_FCP, _FILE_DESCRIPTOR + name + _ACTIVATED)


def _name(applet: Applet) -> bytes:
    return tlv.encode(_DF_NAME, applet.aids[0]) if applet.aids else b""


COMMANDS: Final = uicc.compile()
STRICT_WALLET_ROUTES: Final = WalletRoutes(Routes(COMMANDS, wallet.COMMANDS), Routes(COMMANDS, wallet.TERMINATED))
WALLET_ROUTES: Final = WalletRoutes(
    Routes(COMMANDS, wallet.COMMANDS, signing.COMMANDS, collectibles.COMMANDS),
    Routes(COMMANDS, wallet.TERMINATED, signing.TERMINATED, collectibles.TERMINATED),
)
ISSUER_ROUTES: Final = Routes(COMMANDS, issuer.COMMANDS)


class _MasterFile:
    """What is selected where no application is."""

    aids: tuple[bytes, ...] = ()
    routes: Final = Routes(COMMANDS)

    def session(self, card: Platform, channel: int) -> Session:
        """Begin a session on a logical channel (0-19)."""
        return Session(self, card, channel)

    def reset(self) -> None:
        """Nothing volatile is kept."""


MASTER_FILE: Final = _MasterFile()
