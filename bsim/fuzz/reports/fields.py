"""The fields of a JSON object that may have been edited by hand: of the type they are written with, or ValueError."""

from typing import Final

_MOST: Final = 10**300
"""Larger numbers cannot be calculated with."""


class Fields:
    """One object; `where` begins the words of every fault."""

    def __init__(self, told: object, where: str) -> None:
        if not isinstance(told, dict):
            raise ValueError(f"{where}an object is wanted")  # noqa: TRY004 - one fault of the file among others
        self._told: Final = told
        self._where: Final = where

    def get(self, name: str) -> object:
        """Take a field of whatever type."""
        if name not in self._told:
            raise ValueError(f"{self._where}{name} is missing")
        value: object = self._told[name]
        return value

    def text(self, name: str) -> str:
        """Take a text."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        return value

    def number(self, name: str) -> float:
        """Take a number."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MOST:
            raise self._wrong(name, "a number")
        return value

    def integer(self, name: str) -> int:
        """Take a whole number."""
        value = self.number(name)
        if not isinstance(value, int):
            raise self._wrong(name, "a whole number")
        return value

    def items(self, name: str) -> list[object]:
        """Take a list."""
        value = self.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of texts."""
        found = self.items(name)
        texts = tuple(one for one in found if isinstance(one, str))
        if len(texts) != len(found):
            raise self._wrong(name, "a list of texts")
        return texts

    def integers(self) -> dict[str, int]:
        """Take every field, each a whole number."""
        return {name: self.integer(name) for name in self._told}

    def _wrong(self, name: str, wanted: str) -> ValueError:
        return ValueError(f"{self._where}{name}: {wanted} is wanted")
