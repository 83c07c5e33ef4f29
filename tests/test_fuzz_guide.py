"""The page on fuzzing works: every command of it is run, in order, in one shell and an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "fuzzing.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page_runs(tmp_path):
    script = "set -e\n" + "\n".join(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert {"report.html", "report.sarif", "junit.xml", "report.md"} <= {
        one.name for one in (tmp_path / "practice").iterdir()
    }
    assert "x FAILED" in ran.stdout
    assert "+ FIXED" in ran.stdout
