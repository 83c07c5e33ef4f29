"""Libraries in JavaScript: all cases of a test in one node process, `node/check.mjs`."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "node"


def asked(cases: Sequence[Sequence[object]]) -> list[Any]:
    """The answers of `check.mjs` to its cases; fails where one is an error. Without node: a skip, in CI a failure."""
    node = which("node")
    if node is None or not (FOLDER / "node_modules" / ".ready").exists():
        reason = "node or its libraries are not there: tools/setup-system, make test"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    run = subprocess.run(
        [node, FOLDER / "check.mjs"], input=json.dumps(cases).encode(), capture_output=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr.decode()
    answers: list[Any] = json.loads(run.stdout)
    assert len(answers) == len(cases)
    wrong = [(case, one) for case, one in zip(cases, answers, strict=True) if isinstance(one, dict) and "error" in one]
    assert not wrong, wrong[0][1]["error"]
    return answers
