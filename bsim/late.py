"""Names of a package that are imported when they are first used: a start pays for what it needs alone. PEP 562."""

from collections.abc import Callable, Mapping
from importlib import import_module


def late(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Answer the `__getattr__` of a package, given the module of each such name."""

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: object = getattr(import_module(homes[name]), name)
        setattr(import_module(package), name, found)
        return found

    return find
