"""Where the declarations are, and what is raised where one cannot be read."""

from pathlib import Path


class SpecError(ValueError):
    """A declaration that cannot be read; the message names the file and the entry."""


def folder() -> Path:
    """Where the declarations are: inside the installed package, or at the top of the repository."""
    packaged = Path(__file__).parents[1] / "applet_spec"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "applet_spec"
