"""The guides work: every command of every page is run, in order, in one shell and an empty folder."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

import bsim
from bsim.card import T0
from bsim.links.pcscd import PcscUnavailable, PrivatePcscd
from bsim.links.vpcd import VpcdLink

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("wallet-developers.md", "security-testing.md", "web-api.md")
HARDWARE = "hardware-testing.md"
FUZZING = "fuzzing.md"
SECONDS = 240.0  # no page takes so long unless something hangs


def run(page: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run all blocks of a page that are for a shell or for Python; answers what they print."""
    text = (DOCS / page).read_text(encoding="utf-8")
    # What a guide begins it leaves to its reader to end; here it ends with the shell, which waits for it.
    script = ["set -e", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"]
    for number, (kind, body) in enumerate(BLOCK.findall(text)):
        if kind == "sh":
            script.append(body)
        elif kind == "python":
            (folder / f"block{number}.py").write_text(body, encoding="utf-8")
            script.append(f"python3 block{number}.py")
    home = Path(sys.executable).parent
    own = {"PATH": f"{home}:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(folder)}
    status, told = shell("\n".join(script), folder, {**os.environ, **environment, **own})
    assert status == 0, told
    return told


def shell(script: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a script; answers its status and what it printed. Nothing that it began outlives it, however it ends."""
    with (folder / "printed").open("w+b") as printed:  # no pipe: whoever held its other end would be waited for
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        printed.seek(0)
        return status, printed.read().decode(errors="replace")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_guide_runs(page: str, tmp_path: Path) -> None:
    pytest.importorskip("wsproto")
    run(page, tmp_path, {})


def test_every_command_of_the_page_on_fuzzing_runs(tmp_path: Path) -> None:
    told = run(FUZZING, tmp_path, {})
    reports = {one.name for one in (tmp_path / "practice").iterdir()}
    assert {"report.html", "report.sarif", "junit.xml", "report.md"} <= reports
    assert "x FAILED" in told
    assert "+ FIXED" in told


@pytest.mark.pcsc
def test_every_command_of_the_hardware_guide_runs_on_a_card_in_a_reader(tmp_path: Path) -> None:
    try:
        with PrivatePcscd() as pcscd, VpcdLink(T0(bsim.new_card()), port=pcscd.ports[0]) as link:
            link.ready.wait(20)
            run(HARDWARE, tmp_path, pcscd.environment)
    except PcscUnavailable as fault:
        if os.environ.get("CI") == "true":
            pytest.fail(str(fault))
        pytest.skip(str(fault))


@pytest.mark.parametrize("page", [*PAGES, HARDWARE, FUZZING])
def test_no_command_of_a_guide_may_fail_in_whatever_way(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    hiding = [
        line for kind, body in BLOCK.findall(text) if kind == "sh" for line in body.splitlines() if "|| true" in line
    ]
    assert not hiding, "say which exit code is meant: || test $? = 1"


def test_the_first_page_names_every_guide() -> None:
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    _, _, table = text.partition("## Read on")
    assert not [page.name for page in DOCS.glob("*.md") if f"](docs/{page.name})" not in table]


@pytest.mark.parametrize("page", [*PAGES, HARDWARE, FUZZING])
def test_what_a_guide_points_to_is_there(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (DOCS / target).exists(), target
