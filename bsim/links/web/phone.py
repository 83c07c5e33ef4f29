"""Operations of the phone around the card: what it shows, and what its user does."""

from typing import Final

from bsim.applets.proactive import CommandType, Result
from bsim.handset import Reply
from bsim.handset.remote import BACK, CANCEL, NO, OK, SILENCE, YES, Dialogue
from bsim.links.web import shapes
from bsim.links.web.log import dialogue_json
from bsim.links.web.message import Refusal
from bsim.links.web.operation import Call, Operation
from bsim.links.web.rack import WEB, scripted
from bsim.links.web.schema import flag, listed, maybe, obj, text

_ACTIONS: Final = {"ok": OK, "yes": YES, "no": NO, "cancel": CANCEL, "back": BACK, "no-response": SILENCE}


def _list(call: Call) -> object:
    return {"dialogues": [dialogue_json(one) for one in call.card.user.pending()]}


def _answer(call: Call) -> object:
    card, body, number = call.card, call.body, call.path["dialogue"]
    open_ones = {str(one.number): one for one in card.user.pending()}
    if number not in open_ones:
        raise Refusal(404, "no such dialogue is open", "NoSuchDialogue")
    reply = _reply(open_ones[number], body)

    def answer() -> object:
        try:
            card.user.answer(int(number), reply)
        except KeyError:
            raise Refusal(404, "no such dialogue is open", "NoSuchDialogue") from None
        return _list(call)

    return card.line.run(answer, slow=card.slow())


def _reply(dialogue: Dialogue, body: dict[str, str]) -> Reply:
    """What a phone would make of it: nothing that its screen does not offer."""
    if len(body) != 1:
        raise Refusal(409, "one of text and action is wanted", "NotOffered")
    command = dialogue.command
    if "action" in body:
        wrong = body["action"] in {"yes", "no"} and command.type != CommandType.GET_INKEY
        if wrong or (body["action"] == "ok" and command.type != CommandType.DISPLAY_TEXT):
            raise Refusal(409, "this dialogue does not offer that", "NotOffered")
        return _ACTIONS[body["action"]]
    if command.type != CommandType.GET_INPUT:
        raise Refusal(409, "this dialogue takes no text", "NotOffered")
    if not command.minimum <= len(body["text"]) <= command.maximum:
        raise Refusal(409, f"this dialogue takes {command.minimum} to {command.maximum} characters", "NotOffered")
    return Reply(Result.PERFORMED, body["text"])


def _script(call: Call) -> object:
    card, body = call.card, call.body
    name = body["script"]
    try:
        user = None if name is None else scripted(name, body.get("bpin", "123456"), body.get("new_bpin"))
    except ValueError as fault:
        raise Refusal(409, str(fault), "WrongScript") from None
    if card.traits.handset == "none":
        raise Refusal(409, "this card is in no phone", "NoPhone")

    def follow() -> object:
        card.scripted = user is not None
        card.user.follow(user)
        card.log.add("handset", scripted=card.scripted)
        return {"scripted": card.scripted}

    return card.line.run(follow, slow=card.slow())


_CARD: Final = "/v1/cards/{card}"
_LISTED: Final = obj(("dialogues",), dialogues=listed(shapes.DIALOGUE))

OPERATIONS: Final = (
    Operation(
        "GET",
        f"{_CARD}/dialogues",
        "listDialogues",
        "What the phone shows and nobody answered",
        _list,
        _LISTED,
        refusals=(404,),
    ),
    Operation(
        "POST",
        f"{_CARD}/dialogues/{{dialogue}}",
        "answerDialogue",
        "Answer: text for GET_INPUT, yes or no for GET_INKEY, ok for DISPLAY_TEXT; the dialogues open after it",
        _answer,
        _LISTED,
        body=obj(
            text=text("what is typed; it is kept nowhere", maxLength=255),
            action=text("cancel, back and no-response are for all of them", enum=list(_ACTIONS)),
        ),
        refusals=(404, 409, 503),
    ),
    Operation(
        "PUT",
        f"{_CARD}/script",
        "scriptHandset",
        f"Let a script answer from now on (right; wrong,right@1.5s); null or {WEB}: dialogues wait again",
        _script,
        obj(("scripted",), scripted=flag()),
        body=obj(("script",), script=maybe(shapes.HANDSET), bpin=shapes.BPIN, new_bpin=shapes.BPIN),
        refusals=(404, 409, 503),
    ),
)
