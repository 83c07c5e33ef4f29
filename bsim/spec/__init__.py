"""The one declaration: every command, read once from applet_spec/*.toml into frozen tables."""

from functools import cache

from bsim.spec.encode import encode
from bsim.spec.load import SpecError, folder, load
from bsim.spec.model import (
    Applet,
    Command,
    Cost,
    Danger,
    Example,
    Extension,
    Field,
    Kind,
    LeRule,
    LifeCycle,
    Parameter,
    Source,
    Spec,
    sw_matches,
)

__all__ = [
    "Applet",
    "Command",
    "Cost",
    "Danger",
    "Example",
    "Extension",
    "Field",
    "Kind",
    "LeRule",
    "LifeCycle",
    "Parameter",
    "Source",
    "Spec",
    "SpecError",
    "encode",
    "folder",
    "load",
    "spec",
    "sw_matches",
]


@cache
def spec() -> Spec:
    """Answer the declarations that ship with the package."""
    return load(folder())
