"""Commands of the card itself, whatever application is selected."""

from enum import IntEnum
from typing import Final

from bsim import tlv
from bsim.applets import issuer
from bsim.applets.base import Binding
from bsim.applets.file_session import FileSession, Method
from bsim.applets.proactive import chosen_item
from bsim.applets.routes import Routes
from bsim.applets.session import Platform, Response, Session
from bsim.applets.wallet_session import WalletRoutes
from bsim.card import tables
from bsim.spec.files import MF
from bsim.sw import SW, SwError, exact_length

# ETSI TS 102 221 11.1.1.3: FCI and FCP templates.
_FCI: Final = 0x6F
_FCP: Final = 0x62

uicc: Final = Binding[Session]("uicc")


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
def select(ctx: Session, method: Method, control: int, identifier: bytes) -> bytes | Response:
    """An application by name, or a file. ETSI TS 102 221 11.1.1."""
    if method is Method.DF_NAME:
        selected = ctx.card.select(ctx, identifier, control & 3)
    else:
        selected = _select_file(ctx, method, identifier)
    # ISO/IEC 7816-4 table 63: b4 and b3 of P2 say which template is wanted.
    kinds = {0x00: fci, 0x04: fcp}
    template = kinds.get(control & 0x0C)
    answer = template(selected) if template else b""
    if isinstance(selected, FileSession) and not selected.tree.file(selected.current).active:
        return Response(answer, SW.FILE_DEACTIVATED)
    return answer


def _select_file(ctx: Session, method: Method, identifier: bytes) -> Session:
    """Select a file; from an application that has none, the master file and what a path from there leads to."""
    session = ctx
    if not isinstance(ctx, FileSession):
        if method is not Method.PATH_FROM_MF and not (method is Method.FILE_ID and identifier in {b"", MF}):
            raise SwError(SW.FILE_NOT_FOUND, "the selected application has no files")
        session = ctx.card.files(ctx.channel)
    if not isinstance(session, FileSession):  # a card without a file system has the master file and no other
        if method is not Method.FILE_ID:
            raise SwError(SW.FILE_NOT_FOUND, "no such file")
        return ctx.card.make_current(session)
    path = session.find(method, identifier)
    if session is not ctx:
        ctx.card.make_current(session)
    session.enter(path)
    return session


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
    return fcp(ctx, directory=True) if form is Form.FCP else ctx.name()


@uicc.handles("TERMINAL_PROFILE")
def terminal_profile(ctx: Session, profile: bytes) -> bytes:
    """From now on the card may ask. ETSI TS 102 221 11.2.1."""
    ctx.card.toolkit.begin(profile)
    return b""


@uicc.handles("ENVELOPE")
def envelope(ctx: Session, envelope: bytes) -> bytes:
    """An item of the menu was chosen; what else may have happened leads to nothing. ETSI TS 102 221 11.2.2."""
    item, toolkit = chosen_item(envelope), ctx.card.toolkit
    if item is None or toolkit.menu is None:
        return b""
    if toolkit.busy:
        raise SwError(SW.TOOLKIT_BUSY, "a dialogue with the user is open")
    toolkit.menu.chosen(ctx.card, item)
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


def fci(session: Session) -> bytes:
    """File control information: the name, where there is one. ISO/IEC 7816-4 7.4.3."""
    return tlv.encode(_FCI, session.name())


def fcp(session: Session, *, directory: bool = False) -> bytes:
    """File control parameters of what is selected, or of its directory. ETSI TS 102 221 11.1.1.3.1."""
    if isinstance(session, FileSession):
        from bsim.applets import templates  # noqa: PLC0415 - when somebody looks at a file

        path = session.directory if directory else session.current
        return tlv.encode(_FCP, templates.parameters(session, path))
    return tlv.encode(_FCP, session.parameters())


COMMANDS: Final = uicc.compile()
_WALLET: Final = (tables.WALLET, tables.SIGNING, tables.COLLECTIBLES, tables.WALLET_CHANNEL)
STRICT_WALLET_ROUTES: Final = WalletRoutes(*(Routes(COMMANDS, side) for side in tables.WALLET))
WALLET_ROUTES: Final = WalletRoutes(*(Routes(COMMANDS, *side) for side in zip(*_WALLET, strict=True)))
STRICT_ISSUER_ROUTES: Final = Routes(COMMANDS, issuer.COMMANDS)
ISSUER_ROUTES: Final = Routes(COMMANDS, issuer.COMMANDS, tables.GLOBALPLATFORM)
FILE_ROUTES: Final = Routes(COMMANDS, tables.USIM, tables.GSM)


class _NoFiles:
    """What is selected where no application is, on a card without a file system."""

    aids: tuple[bytes, ...] = ()
    selectable: Final = True
    routes: Final = Routes(COMMANDS)

    def session(self, card: Platform, channel: int) -> Session:
        """Begin a session on a logical channel (0-19)."""
        return Session(self, card, channel)

    def reset(self) -> None:
        """Nothing volatile is kept."""


NO_FILES: Final = _NoFiles()
