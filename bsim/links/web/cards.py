"""Operations on cards as things: make, list, power, snapshot, fork."""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from bsim import __version__
from bsim.links.web import shapes
from bsim.links.web.hosted import Hosted, Power
from bsim.links.web.message import Refusal
from bsim.links.web.operation import Call, Operation
from bsim.links.web.schema import flag, listed, obj, text, whole

if TYPE_CHECKING:
    from bsim.links.web.site import Site


def card_json(card: Hosted) -> dict[str, object]:
    """A card as it is listed; nothing is asked of it."""
    traits = card.traits
    return {
        "id": card.number,
        "name": traits.name,
        "target": traits.target,
        "profile": traits.profile,
        "handset": traits.handset,
        "scripted": card.scripted,
        "reader": traits.reader,
        "power": str(card.power),
        "atr": card.atr.hex().upper(),
        "snapshots": card.snapshots,
        "dialogues": len(card.user.pending()),
        "trace": card.log.last,
    }


def _health(call: Call) -> object:
    return {"status": "ok", "version": __version__, "cards": len(call.site.rack)}


def _list(call: Call) -> object:
    return {"cards": [card_json(card) for card in call.site.rack]}


async def _create(call: Call) -> object:
    options = call.body

    def make() -> Hosted:
        try:
            return call.site.rack.make(**options)
        except ValueError as fault:
            raise Refusal(409, str(fault), "WrongCard") from None

    return card_json(await asyncio.get_running_loop().run_in_executor(call.site.rack.pool, make))


def _get(call: Call) -> object:
    return card_json(call.card)


async def _delete(call: Call) -> object:
    await asyncio.shield(_let_go(call.site, call.card))  # a card that is to go goes, even if nobody waits for it
    return None


async def _let_go(site: "Site", card: Hosted) -> None:
    outcome = card.line.run(lambda: site.rack.remove(card.number), slow=True)
    if isinstance(outcome, Awaitable):
        await outcome
    site.forget(card)


def _reset(call: Call) -> object:
    card = call.card
    return card.line.run(lambda: {"atr": card.reset().hex().upper()}, slow=card.slow())


def _cut(call: Call, power: Power) -> object:
    card = call.card

    def cut() -> object:
        card.cut(power)
        return card_json(card)

    return card.line.run(cut, slow=card.slow())


def _power(call: Call) -> object:
    return _cut(call, Power.OFF) if not call.body["on"] else _insert(call)


def _remove(call: Call) -> object:
    return _cut(call, Power.REMOVED)


def _insert(call: Call) -> object:
    card = call.card

    def insert() -> object:
        if card.power is not Power.ON:
            card.reset()
            card.log.add("power", power=str(card.power))
        return card_json(card)

    return card.line.run(insert, slow=card.slow())


def _snapshot(call: Call) -> object:
    card, name = call.card, call.body["name"]
    if name not in card.snapshots and len(card.snapshots) >= call.site.limits.snapshots:
        raise Refusal(409, f"a card keeps {call.site.limits.snapshots} snapshots at most", "TooManySnapshots")

    def snapshot() -> object:
        card.snapshot(name)
        return {"snapshots": card.snapshots}

    return card.line.run(snapshot, slow=card.slow())


def _snapshots(call: Call) -> object:
    return {"snapshots": call.card.snapshots}


def _restore(call: Call) -> object:
    card = call.card
    return card.line.run(lambda: {"atr": card.restore(call.body["name"]).hex().upper()}, slow=card.slow())


async def _fork(call: Call) -> object:
    card, name = call.card, call.body.get("name", "")
    work = lambda: call.site.rack.fork(card, name)  # noqa: E731 - one line of work for the card's line
    outcome = card.line.run(work, slow=True)
    return card_json(await outcome if isinstance(outcome, Awaitable) else outcome)


_CARD: Final = "/v1/cards/{card}"
_SNAPSHOTS: Final = obj(("snapshots",), snapshots=listed(text()))
_NAMED: Final = obj(("name",), name=shapes.SNAPSHOT)

OPERATIONS: Final = (
    Operation(
        "GET",
        "/healthz",
        "health",
        "Whether the server is there; needs no token",
        _health,
        obj(("status", "version", "cards"), status=text(), version=text(), cards=whole()),
        public=True,
    ),
    Operation("GET", "/v1/cards", "listCards", "All cards", _list, obj(("cards",), cards=listed(shapes.CARD))),
    Operation(
        "POST",
        "/v1/cards",
        "createCard",
        "Make a card in memory",
        _create,
        shapes.CARD,
        body=shapes.NEW_CARD,
        optional=True,
        status=201,
        refusals=(409,),
    ),
    Operation("GET", _CARD, "getCard", "One card", _get, shapes.CARD, refusals=(404,)),
    Operation("DELETE", _CARD, "deleteCard", "Let go of a card", _delete, {}, status=204, refusals=(404, 503)),
    Operation("POST", f"{_CARD}/reset", "resetCard", "Power-cycle", _reset, shapes.ATR, refusals=(404, 409, 503)),
    Operation(
        "POST",
        f"{_CARD}/power",
        "powerCard",
        "Switch the power",
        _power,
        shapes.CARD,
        body=obj(("on",), on=flag()),
        refusals=(404, 409, 503),
    ),
    Operation(
        "POST", f"{_CARD}/insert", "insertCard", "Put the card in again", _insert, shapes.CARD, refusals=(404, 409, 503)
    ),
    Operation(
        "POST", f"{_CARD}/remove", "removeCard", "Take the card out", _remove, shapes.CARD, refusals=(404, 409, 503)
    ),
    Operation("GET", f"{_CARD}/snapshots", "listSnapshots", "Its snapshots", _snapshots, _SNAPSHOTS, refusals=(404,)),
    Operation(
        "POST",
        f"{_CARD}/snapshots",
        "snapshotCard",
        "Keep the contents under a name",
        _snapshot,
        _SNAPSHOTS,
        body=_NAMED,
        status=201,
        refusals=(404, 409, 503),
    ),
    Operation(
        "POST",
        f"{_CARD}/restore",
        "restoreCard",
        "Go back to a snapshot, power-cycled",
        _restore,
        shapes.ATR,
        body=_NAMED,
        refusals=(404, 409, 503),
    ),
    Operation(
        "POST",
        f"{_CARD}/fork",
        "forkCard",
        "A second card with the same contents",
        _fork,
        shapes.CARD,
        body=obj(name=shapes.NAME),
        optional=True,
        status=201,
        refusals=(404, 409, 503),
    ),
)
