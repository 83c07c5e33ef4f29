"""The TypeScript example: a wallet app's module over HTTP, compiled strictly, run by node with `bsim test-server`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "react-native"
MODULES = ROOT / "tests" / "integration" / "node" / "node_modules"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example in a folder of its own, with the suite's libraries. None there: a failure in CI, a skip elsewhere."""
    lacking = [what for what, there in (("node", shutil.which("node")), (MODULES, MODULES.exists())) if not there]
    if lacking:
        reason = f"{lacking[0]} is not there; `make test` installs the libraries"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    folder = tmp_path / "react-native"
    shutil.copytree(EXAMPLE, folder)
    (folder / "node_modules").symlink_to(MODULES)
    return folder


def test_the_example_compiles_and_its_tests_pass(example: Path) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(
            ["node", *words],
            cwd=example,
            env=os.environ | {"BSIM": f"{sys.executable} -m bsim"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("node_modules/typescript/bin/tsc")
    assert "# pass 4" in run("--test", "--test-reporter=tap", "build/")


def test_the_example_names_the_libraries_it_is_tested_with() -> None:
    import json

    own = json.loads((EXAMPLE / "package.json").read_text())["devDependencies"]
    tested = json.loads((MODULES.parent / "package.json").read_text())
    assert own.items() <= (tested["dependencies"] | tested["devDependencies"]).items()
