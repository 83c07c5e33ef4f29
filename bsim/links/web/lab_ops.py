"""Operations of the lab on a card: faults, and the trace."""

from typing import Final

from bsim.lab.fault_rules import FaultError
from bsim.links.web.message import Refusal, Response
from bsim.links.web.operation import Call, Operation
from bsim.links.web.schema import Schema, listed, obj, text, whole

_MOST: Final = 10_000


def _faults(call: Call) -> object:
    faults = call.card.faults
    rules = [{"id": one.number, "rule": one.text, "fitted": one.fitted, "fired": one.fired} for one in faults.list()]
    return {"faults": rules, "seed": faults.seed}


def _add_fault(call: Call) -> object:
    card = call.card
    if len(card.faults.list()) >= call.site.limits.rules:
        raise Refusal(409, f"a card has {call.site.limits.rules} faults at most", "TooManyFaults")
    try:
        number = card.faults.add(call.body["rule"])
    except FaultError as fault:
        raise Refusal(409, str(fault), "WrongRule") from None
    card.log.add("faults", count=len(card.faults.list()))
    return {"id": number}


def _remove_fault(call: Call) -> object:
    card, number = call.card, call.path["fault"]
    try:
        card.faults.remove(int(number) if number.isdigit() and len(number) < 10 else 0)
    except KeyError:
        raise Refusal(404, "there is no such fault", "NoSuchFault") from None
    card.log.add("faults", count=len(card.faults.list()))
    return None


def _trace(call: Call) -> object:
    lines = call.card.log.since(call.query.get("after", 0), call.query.get("limit", 1_000))
    return Response(200, f'{{"events":[{",".join(lines)}],"last":{call.card.log.last}}}'.encode())


def _clear_trace(call: Call) -> object:
    call.card.log.clear()
    return None


_CARD: Final = "/v1/cards/{card}"
_RULE: Final = text("as in docs/faults.md: on SIGN nth 3 answer 6985", minLength=1, maxLength=2_000)
_EVENT: Final[Schema] = {
    "type": "object",
    "description": "an exchange, reset, dialogue or another event: what its `type` says",
    "required": ["n", "at", "type"],
    "properties": {"n": whole("its number"), "at": {"type": "number", "description": "seconds"}, "type": text()},
}

OPERATIONS: Final = (
    Operation(
        "GET",
        f"{_CARD}/faults",
        "listFaults",
        "The rules by which the card misbehaves",
        _faults,
        obj(
            ("faults", "seed"),
            faults=listed(
                obj(("id", "rule", "fitted", "fired"), id=whole(), rule=text(), fitted=whole(), fired=whole())
            ),
            seed=whole("makes the same faults again"),
        ),
        refusals=(404,),
    ),
    Operation(
        "POST",
        f"{_CARD}/faults",
        "addFault",
        "Add a rule",
        _add_fault,
        obj(("id",), id=whole()),
        body=obj(("rule",), rule=_RULE),
        status=201,
        refusals=(404, 409),
    ),
    Operation(
        "DELETE",
        f"{_CARD}/faults/{{fault}}",
        "removeFault",
        "Take a rule away",
        _remove_fault,
        {},
        status=204,
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{_CARD}/trace",
        "trace",
        "The newest events after a number, oldest first, decoded and masked; live: WebSocket /v1/cards/{card}/feed",
        _trace,
        obj(("events", "last"), events=listed(_EVENT), last=whole("the number of the newest event there is")),
        query={
            "after": whole("only later ones", minimum=0, maximum=999_999_999),
            "limit": whole("the most", minimum=0, maximum=_MOST),
        },
        refusals=(404,),
    ),
    Operation(
        "DELETE", f"{_CARD}/trace", "clearTrace", "Forget all lines", _clear_trace, {}, status=204, refusals=(404,)
    ),
)
