"""A command that does not end is ended, wherever the signal strikes."""

import gc
import time
from dataclasses import dataclass

import pytest

from bsim.fuzz.watch import Hang, watching

LIMIT = 0.02
PATIENCE = 4.0  # a watch that does not work fails its test, and does not hang it


@dataclass
class Command:
    busy: bool = True
    steps: int = 1


def never_end() -> None:
    end = time.process_time() + PATIENCE
    while time.process_time() < end:
        pass
    raise AssertionError("nothing was raised")


def collect_garbage() -> list[str]:
    """Collect garbage with a callback that does not end either: the phases in which a hang struck there."""
    struck: list[str] = []

    def callback(phase: str, _info: dict[str, int]) -> None:
        try:
            never_end()
        except Hang:
            struck.append(phase)
            raise

    gc.callbacks.append(callback)
    gc.collect(0)
    gc.callbacks.remove(callback)
    return struck


def test_a_hang_that_strikes_where_nothing_can_be_raised_is_raised_after_it():
    command = Command()
    with watching([command], LIMIT):
        assert "start" in collect_garbage()
        with pytest.raises(Hang):
            never_end()
    assert not command.busy


def test_what_ended_after_all_does_not_hang():
    command = Command()
    with watching([command], LIMIT):
        assert "start" in collect_garbage()
        command.busy = False
        end = time.process_time() + 5 * LIMIT
        while time.process_time() < end:
            pass


def test_what_else_cannot_be_raised_is_told_as_before(monkeypatch: pytest.MonkeyPatch):
    class Dies:
        def __del__(self) -> None:
            raise ValueError("told")

    told: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: told.append(str(unraisable.exc_value)))
    with watching([Command()], LIMIT):
        Dies()
    assert told == ["told"]


def test_a_watch_goes_on_after_another_inside_it():
    with watching([Command()], LIMIT):
        with watching([Command(busy=False)], LIMIT):
            pass
        with pytest.raises(Hang):
            never_end()
