"""A user who follows a script: `right`, `wrong,wrong,right`, `no`, `cancel`, `silent`, `right@1.5s`, `123456`."""

import re
from dataclasses import dataclass, field
from typing import Final

from bsim.applets.proactive import CommandType, ProactiveCommand, Result
from bsim.handset.phone import Reply, Respond
from bsim.spec import spec

_TEXT: Final = spec().applets["wallet"].dialogue
_WRONG: Final = _TEXT["wrong_bpin"].partition("{")[0]
_ENTRY: Final = re.compile(r"(right|wrong|yes|no|deny|cancel|silent|\d+)(?:@(\d+(?:\.\d+)?)(ms|s)?)?")

_SAY_YES: Final = frozenset({"right", "yes"})
_KNOW_BPIN: Final = _SAY_YES | {"no", "deny"}


@dataclass(frozen=True, slots=True)
class Step:
    """One answer: what is done, and after how many seconds (None: at once; for `silent`, never)."""

    action: str = field(repr=False)  # may be digits, and they a PIN
    delay: float | None


def parse_script(script: str) -> tuple[Step, ...]:
    """Read a script; ValueError says which entry is none, and never repeats it: it may be a PIN, mistyped."""
    steps = []
    for number, entry in enumerate(script.split(","), 1):
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            raise ValueError(
                f"handset script: entry {number} is none of right, wrong, yes, no, cancel, silent or digits, "
                "each with a delay if wished: right@1.5s"
            )
        action, after, unit = match.groups()
        delay = float(after) / (1000 if unit == "ms" else 1) if after else None
        steps.append(Step(action, delay))
    return tuple(steps)


class ScriptedUser:
    """Answers each dialogue with the script's next step; the last step goes on for ever.

    `right` types the BPIN (and the new one, where that is asked for) and says yes; `wrong` types another and says no;
    `yes` is `right`, and `no` (or `deny`) types the BPIN and says no; `cancel` ends the session; `silent` does nothing,
    or with a delay lets the phone give up; digits are typed as they are, and no yes. Texts that are only shown use up
    no step. Told that the BPIN it typed is wrong, one who typed the right one cancels: it knows no other, and the tries
    that are left are not its to spend. Of a list, digits choose the item of that number, and the others the first.
    """

    def __init__(self, script: str, bpin: str = "123456", new_bpin: str | None = None) -> None:
        self._steps: Final = parse_script(script)
        self._next = 0
        self._bpin = bpin
        self._new_bpin = new_bpin or bpin
        self._typed_right = False

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        """See a dialogue and do as the script says."""
        if command.type == CommandType.DISPLAY_TEXT:
            respond(Reply(Result.PERFORMED), 0.0)
            return
        step = self._steps[min(self._next, len(self._steps) - 1)]
        self._next += 1
        if step.action in _KNOW_BPIN and self._typed_right and command.text.startswith(_WRONG):
            # The BPIN we know is not this card's. Typing it again would only spend the tries that are left.
            step = Step("cancel", step.delay)
        self._typed_right = step.action in _KNOW_BPIN
        if step.action == "silent":
            if step.delay is not None:
                respond(Reply(Result.NO_RESPONSE_FROM_USER), step.delay)
        elif step.action == "cancel":
            respond(Reply(Result.TERMINATED_BY_USER), step.delay or 0.0)
        elif command.type == CommandType.SELECT_ITEM:
            item = int(step.action) if step.action.isdigit() else command.items[0][0]
            respond(Reply(Result.PERFORMED, item=item), step.delay or 0.0)
        else:
            respond(Reply(Result.PERFORMED, self._text(command, step.action)), step.delay or 0.0)

    def _text(self, command: ProactiveCommand, action: str) -> str:
        if command.type == CommandType.GET_INKEY:
            return "\1" if action in _SAY_YES else "\0"
        if action.isdigit():
            return action
        asks_new = command.text in {_TEXT["new_bpin"], _TEXT["repeat_bpin"]}
        right = self._new_bpin if asks_new else self._bpin
        if action == "wrong":
            return "".join(str((int(digit) + 1) % 10) for digit in right)
        if command.text == _TEXT["repeat_bpin"]:
            self._bpin = self._new_bpin
        return right
