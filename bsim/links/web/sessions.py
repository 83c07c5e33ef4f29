"""Operations that carry APDUs through Android's Open Mobile API."""

import secrets
from typing import Final

from bsim.links.omapi import Channel, Kind, OmapiError, Session
from bsim.links.web import shapes
from bsim.links.web.hosted import Hosted, Power
from bsim.links.web.message import Refusal
from bsim.links.web.operation import Call, Operation
from bsim.links.web.rack import READERS
from bsim.links.web.schema import flag, listed, maybe, obj, text, whole
from bsim.links.web.talk import answered


class Sessions:
    """The OMAPI sessions of one server, by numbers that cannot be guessed."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._open: dict[str, tuple[Session, Hosted, int]] = {}

    def open(self, card: Hosted, refused: list[bytes]) -> str:
        """Begin a session; Refusal 409 if there are too many."""
        if len(self._open) >= self._most:
            raise Refusal(409, f"a server has {self._most} sessions at most: close some", "TooManySessions")
        name = secrets.token_hex(8)
        self._open[name] = Session(card.card, refused=refused), card, card.epoch
        return name

    def get(self, name: str) -> tuple[Session, Hosted]:
        """Answer a session; Refusal 404 if there is none. One that lost its card's power lost its channels."""
        if name not in self._open:
            raise Refusal(404, "there is no such session", "NoSuchSession")
        session, card, epoch = self._open[name]
        if epoch != card.epoch:
            session.lose()
            self._open[name] = session, card, card.epoch
        return session, card

    def close(self, name: str) -> None:
        """Forget a session."""
        self._open.pop(name, None)

    def drop(self, card: Hosted) -> None:
        """Forget a card's sessions: it goes."""
        self._open = {name: entry for name, entry in self._open.items() if entry[1] is not card}


def _readers(call: Call) -> object:
    def reader(name: str) -> dict[str, object]:
        card = call.site.rack.in_reader(name)
        present = card is not None and card.power is not Power.REMOVED
        return {"name": name, "present": present, "card": card.number if card else None}

    return {"readers": [reader(name) for name in READERS]}


def _open_session(call: Call) -> object:
    body = call.body
    card = call.site.rack.get(body["card"]) if "card" in body else call.site.rack.in_reader(body.get("reader", "SIM1"))
    if card is None or card.power is Power.REMOVED:
        raise OmapiError(Kind.IO, "Secure Element is not present.")
    name = call.site.sessions.open(card, [bytes.fromhex(aid) for aid in body.get("refuse", [])])
    return {"session": name, "card": card.number, "reader": card.traits.reader, "atr": card.atr.hex().upper()}


def _close_session(call: Call) -> object:
    session, card = call.site.sessions.get(call.path["session"])
    call.site.sessions.close(call.path["session"])
    return card.line.run(lambda: _close_quietly(session, card), slow=card.slow())


def _close_quietly(session: Session, card: Hosted) -> None:
    """A card that is out has no channels to close."""
    if card.power is not Power.ON:
        session.lose()
    session.close()


def _session(call: Call) -> object:
    session, card = call.site.sessions.get(call.path["session"])
    return {
        "session": call.path["session"],
        "card": card.number,
        "reader": card.traits.reader,
        "atr": card.atr.hex().upper(),
        "channels": sorted(session.channels),
    }


def _open_channel(call: Call) -> object:
    session, card = call.site.sessions.get(call.path["session"])
    body = call.body
    if body.get("basic"):
        session.open_basic_channel()
        return {"channel": None, "select_response": None}
    aid = bytes.fromhex(body["aid"]) if body.get("aid") is not None else None

    def open_channel() -> object:
        channel = session.open_logical_channel(aid, body.get("p2", 0))
        return _channel_json(channel)

    return card.line.run(open_channel, slow=card.slow())


def _channel_json(channel: Channel | None) -> dict[str, object]:
    if channel is None:
        return {"channel": None, "select_response": None}
    selected = channel.select_response
    return {"channel": channel.number, "select_response": selected.hex().upper() if selected is not None else None}


def _channel(call: Call) -> tuple[Session, Hosted, Channel]:
    session, card = call.site.sessions.get(call.path["session"])
    number = call.path["channel"]
    channel = session.channels.get(int(number)) if number.isdigit() and len(number) < 3 else None
    if channel is None:
        raise OmapiError(Kind.ILLEGAL_STATE, "Channel is closed")
    return session, card, channel


def _transmit(call: Call) -> object:
    _, card, channel = _channel(call)
    command = bytes.fromhex(call.body["apdu"])
    return card.line.run(lambda: answered(channel.transmit(command)), slow=card.slow(command))


def _select_next(call: Call) -> object:
    _, card, channel = _channel(call)
    work = lambda: {"selected": channel.select_next(), **_channel_json(channel)}  # noqa: E731 - one line of work
    return card.line.run(work, slow=card.slow())


def _close_channel(call: Call) -> object:
    session, card, channel = _channel(call)
    session.channels.pop(channel.number)
    return card.line.run(channel.close, slow=card.slow())


_SESSION: Final = "/v1/sessions/{session}"
_CHANNEL: Final = f"{_SESSION}/channels/{{channel}}"
_AID: Final = text("an AID, hexadecimal", pattern=shapes.HEX, maxLength=64)
_SESSION_ANSWER: Final = {"session": text(), "card": text(), "reader": maybe(text()), "atr": text(pattern=shapes.HEX)}
_OPENED: Final = {
    "channel": maybe(whole("its number; null where Android's openLogicalChannel answers null: none is left")),
    "select_response": maybe(shapes.RESPONSE),
}
_THROWN: Final = (403, 404, 409, 503)

OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/readers",
        "listReaders",
        "SIM1 and SIM2 of the phone",
        _readers,
        obj(
            ("readers",),
            readers=listed(
                obj(("name", "present", "card"), name=text(), present=flag(), card=maybe(text("the card's number")))
            ),
        ),
    ),
    Operation(
        "POST",
        "/v1/sessions",
        "openSession",
        "Reader.openSession, of a reader or of any card",
        _open_session,
        obj(tuple(_SESSION_ANSWER), **_SESSION_ANSWER),
        body=obj(
            reader=shapes.READER,
            card=text("a card's number, in place of a reader", maxLength=20),
            refuse=listed(_AID, "AIDs that access rules deny, or their beginnings", maxItems=32),
        ),
        optional=True,
        status=201,
        refusals=(404, 409),
    ),
    Operation(
        "GET",
        _SESSION,
        "getSession",
        "One session and its channels",
        _session,
        obj((*_SESSION_ANSWER, "channels"), **_SESSION_ANSWER, channels=listed(whole())),
        refusals=(404,),
    ),
    Operation("DELETE", _SESSION, "closeSession", "Session.close", _close_session, {}, status=204, refusals=_THROWN),
    Operation(
        "POST",
        f"{_SESSION}/channels",
        "openLogicalChannel",
        "Session.openLogicalChannel; openBasicChannel where `basic` is set, which a UICC answers with null",
        _open_channel,
        obj(tuple(_OPENED), **_OPENED),
        body=obj(aid=maybe(_AID), p2=whole("of SELECT", minimum=0, maximum=255), basic=flag()),
        optional=True,
        status=201,
        refusals=_THROWN,
    ),
    Operation(
        "POST",
        f"{_CHANNEL}/transmit",
        "channelTransmit",
        "Channel.transmit",
        _transmit,
        shapes.ANSWERED,
        body=obj(("apdu",), apdu=shapes.COMMAND),
        refusals=_THROWN,
    ),
    Operation(
        "POST",
        f"{_CHANNEL}/select-next",
        "selectNext",
        "Channel.selectNext",
        _select_next,
        obj(("selected", *_OPENED), selected=flag(), **_OPENED),
        refusals=_THROWN,
    ),
    Operation("DELETE", _CHANNEL, "closeChannel", "Channel.close", _close_channel, {}, status=204, refusals=_THROWN),
)
