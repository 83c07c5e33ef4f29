"""The build's hook: compiles the C extension where that can be done, and leaves it out where it cannot.

Without it the wheel is pure Python and signs a fifth slower. BSIM_NATIVE=0 leaves it out, BSIM_NATIVE=1 insists.
"""

import os
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("bsim/crypto/ecdsa/_native.c")
BUILT = SOURCE.with_suffix(".abi3.so")
# No -march: wheels are moved to other processors. What needs newer instructions asks for them when it runs.
FLAGS = ("-O3", "-fPIC", "-Wall", "-Wextra", "-Werror=implicit-function-declaration")


class NativeHook(BuildHookInterface):
    """For wheels, editable ones too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, into the source tree for an editable install, and say what kind of wheel it became."""
        wanted = os.environ.get("BSIM_NATIVE", "")
        if wanted == "0":
            return
        self._folder = tempfile.TemporaryDirectory()
        editable = version == "editable"
        target = Path(self.root, BUILT) if editable else Path(self._folder.name, BUILT.name)
        try:
            compile_to(target, Path(self.root, SOURCE))
        except (OSError, subprocess.CalledProcessError, NotImplementedError) as fault:
            if wanted == "1":
                raise
            self.app.display_warning(f"bsim: without its C extension, which makes signing faster: {fault}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform_tag()}"
        if not editable:
            build_data["force_include"][str(target)] = str(BUILT)

    def finalize(self, *_: object) -> None:
        """Let go of what was compiled: it is in the wheel."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def compile_to(target: Path, source: Path) -> None:
    """Run the compiler that Python was built with, or the one CC names."""
    linker = sysconfig.get_config_var("LDSHARED")
    if os.name != "posix" or not linker:
        raise NotImplementedError("no compiler is known here")
    words = shlex.split(linker)
    if chosen := os.environ.get("CC"):
        words[:1] = shlex.split(chosen)
    include = sysconfig.get_path("include")
    # Beside its place and then into it: a process that has the old one loaded keeps it.
    new = target.with_suffix(".new")
    try:
        subprocess.run([*words, *FLAGS, f"-I{include}", str(source), "-o", str(new)], check=True)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def platform_tag() -> str:
    """The platform as wheels' names have it."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
