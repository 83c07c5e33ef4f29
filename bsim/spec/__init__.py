"""The one declaration: every command, read once from applet_spec/*.toml into frozen tables."""

from functools import cache

from bsim.spec.compiled import Declared, read_compiled
from bsim.spec.declared import SpecError, folder
from bsim.spec.encode import FieldError, encode
from bsim.spec.files import FileSystemSpec
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
    "FieldError",
    "Kind",
    "LeRule",
    "LifeCycle",
    "Parameter",
    "Source",
    "Spec",
    "SpecError",
    "encode",
    "file_system",
    "folder",
    "spec",
    "sw_matches",
]


@cache
def _compiled() -> Declared | None:
    return read_compiled(folder())


@cache
def spec() -> Spec:
    """Answer the declarations that ship with the package; SpecError names what is wrong with them."""
    if (declared := _compiled()) is not None:
        return declared.spec
    from bsim.spec.load import load  # noqa: PLC0415 - where declarations were changed just now: a quick start

    return load(folder())


@cache
def file_system() -> FileSystemSpec:
    """Answer the files that ship with the package; SpecError names what is wrong with them."""
    if (declared := _compiled()) is not None:
        return declared.files
    from bsim.spec.load_files import load_files  # noqa: PLC0415 - as above

    return load_files(folder())
