"""The guides work: every command of every page is run, in order, in one shell and an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("wsproto")
DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("wallet-developers.md", "security-testing.md", "web-api.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_guide_runs(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    # What a guide begins it leaves to its reader to end; here it ends with the shell.
    script = ["set -e", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for number, (kind, body) in enumerate(BLOCK.findall(text)):
        if kind == "sh":
            script.append(body)
        elif kind == "python":
            (tmp_path / f"block{number}.py").write_text(body, encoding="utf-8")
            script.append(f"python3 block{number}.py")
    home = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{home}:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(tmp_path)}
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("page", PAGES)
def test_what_a_guide_points_to_is_there(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (DOCS / target).exists(), target
