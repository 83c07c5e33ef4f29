"""Which lines of the card's code a sequence runs: the second feedback, looked at for a sample of what is new already.

Python 3.12 counts lines at no cost once each was seen (`sys.monitoring`); before it there is `sys.settrace`, which is
too slow to be always on, and so is used for one sequence in many.
"""

import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any, Final

_OURS: Final = ("/bsim/applets/", "/bsim/card/", "/bsim/tlv.py", "/bsim/apdu.py", "/bsim/chains/")
_TOOL: Final = 3  # a number sys.monitoring leaves to tools such as this


class Lines:
    """The lines of the card's own code that were run so far."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()

    def follow(self, run: Callable[[], None]) -> int:
        """Run something; answers how many lines were run for the first time."""
        before = len(self.seen)
        monitoring = getattr(sys, "monitoring", None)
        if monitoring is None:
            self._traced(run)
        else:
            self._monitored(monitoring, run)
        return len(self.seen) - before

    def _traced(self, run: Callable[[], None]) -> None:
        seen, outer = self.seen, sys.gettrace()

        def line(frame: FrameType, event: str, _arg: object) -> Any:
            if event == "line":
                seen.add((frame.f_code.co_filename, frame.f_lineno))
            return line

        def call(frame: FrameType, _event: str, _arg: object) -> Any:
            return line if _is_ours(frame.f_code.co_filename) else None

        sys.settrace(call)
        try:
            run()
        finally:
            sys.settrace(outer)

    def _monitored(self, monitoring: Any, run: Callable[[], None]) -> None:
        seen = self.seen

        def line(code: CodeType, number: int) -> Any:
            if _is_ours(code.co_filename):
                seen.add((code.co_filename, number))
            return monitoring.DISABLE

        monitoring.use_tool_id(_TOOL, "bsim fuzz")
        monitoring.register_callback(_TOOL, monitoring.events.LINE, line)
        monitoring.set_events(_TOOL, monitoring.events.LINE)
        try:
            run()
        finally:
            monitoring.set_events(_TOOL, 0)
            monitoring.free_tool_id(_TOOL)


@cache
def _is_ours(path: str) -> bool:
    return any(part in path.replace("\\", "/") for part in _OURS)
