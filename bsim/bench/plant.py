"""How a fault is planted into the running card code: a context manager replaces a function's code, or a method.

Outside it the card is as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

Patch = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault: its name, what it is, the oracle whose it is, the fewest steps to it (by way of each command
    that shows it), and how it is planted."""

    name: str
    title: str
    oracle: str
    steps: tuple[int, ...]
    plant: Patch


@contextmanager
def instead_of(target: Any, code: Any) -> Iterator[None]:
    """Replace what a function does, wherever it is bound already."""
    if not isinstance(target, FunctionType) or not isinstance(code, FunctionType):
        raise TypeError("only functions written in Python are replaced")
    before = target.__code__
    added = {name: value for name, value in code.__globals__.items() if name not in target.__globals__}
    target.__globals__.update(added)
    target.__code__ = code.__code__
    try:
        yield
    finally:
        target.__code__ = before
        for name in added:
            del target.__globals__[name]


@contextmanager
def attribute(owner: Any, name: str, value: object) -> Iterator[None]:
    """Have a class another method or property."""
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
