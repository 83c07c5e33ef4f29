"""A real Ray, in an environment that has bsim and its extra `cluster` and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bsim.cli import main
from bsim.fuzz.files import Folder

ROOT = Path(__file__).parents[1]
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of such an environment."""
    place = tmp_path_factory.mktemp("cluster")
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    words = ["-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), f"{ROOT}[cluster]"]
    subprocess.run([str(place / "bin" / "python"), *words], check=True)
    return place / "bin" / "python"


def test_a_local_ray_starts_from_the_extra_alone(python, tmp_path):
    words = ["-m", "bsim", "fuzz", "run", "--cluster", "local", "-j", "2", "--max-time", "20", "--json"]
    done = subprocess.run([str(python), *words], capture_output=True, check=False, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["workers"] == 2
    assert report["apdus"] > 0


def test_a_worker_that_is_killed_loses_one_slice(python, tmp_path):
    """Others go on, nothing that was handed over is lost, and the run resumes without Ray."""
    child = [str(python), str(ROOT / "tests" / "cluster_child.py"), str(tmp_path)]
    done = subprocess.run(child, capture_output=True, check=True, text=True, timeout=300)
    told = json.loads(done.stdout)
    assert told["listening"]
    assert set(told["listening"]) <= LOOPBACK
    assert told["report"]["notes"] == ["1 workers were lost"]
    assert told["report"]["workers"] == 3
    assert told["counts"] == sorted(told["counts"])
    assert Folder(tmp_path).seeds()
    assert main(["fuzz", "campaign", "--dir", str(tmp_path), "--max-apdus", "2000"]) == 0
