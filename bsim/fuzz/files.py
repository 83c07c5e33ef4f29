"""A run's folder: findings and corpus as plain text files, the report as JSON. A run goes on from what is there."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsim.fuzz import export
from bsim.fuzz.cards import ROOTS
from bsim.fuzz.finding import SUFFIX, Finding, FindingError, line, parse, read_lines
from bsim.fuzz.grammar import grammar
from bsim.fuzz.replay import Replayer
from bsim.fuzz.result import RunReport
from bsim.fuzz.steps import Step

FINDINGS: Final = "findings"
CORPUS: Final = "corpus"
REPORT: Final = "run.json"
TARGET: Final = "ram"


@dataclass(frozen=True, slots=True)
class Seed:
    """An entry of a corpus: the kind of card, the steps, and what they reached that nothing before them did."""

    root: str
    steps: tuple[Step, ...]
    why: str

    @property
    def name(self) -> str:
        """A name that depends on the content alone."""
        return hashlib.sha256(repr((self.root, self.steps)).encode()).hexdigest()[:12] + SUFFIX

    def text(self) -> str:
        """Write the file."""
        head = ("# bsim fuzz corpus", f"# card: {self.root}", f"# why: {self.why}")
        lines = (line(grammar().name(step[1]), step, "") for step in self.steps)
        return "\n".join((*head, *(one.removesuffix("  ->").rstrip() for one in lines))) + "\n"


class Folder:
    """The folder of one campaign; it is made when something is written. OSError names the file that cannot be."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def save_finding(self, finding: Finding) -> Path:
        """Write a finding, and a test that fails while it stands; answers the finding's file.

        What was told to a card in a reader may be secret: the file is its user's alone, and there is no test.
        """
        path = self.file_of(finding)
        if finding.in_reader:
            return self._write(path, finding.text(), mode=0o600)
        self._write(self.path / FINDINGS / f"test_{finding.id.lower()}.py", export.pytest(finding))
        return self._write(path, finding.text())

    def file_of(self, finding: Finding) -> Path:
        """Answer where a finding's file is, or would be."""
        return self.path / FINDINGS / f"{finding.id}{SUFFIX}"

    def save_seed(self, seed: Seed) -> Path:
        """Write an entry of the corpus; answers its file."""
        return self.save_to(self.path / CORPUS, seed)

    def save_to(self, folder: Path, seed: Seed) -> Path:
        """Write an entry of a corpus into a folder of its own."""
        return self._write(folder / seed.name, seed.text())

    def save_report(self, report: RunReport) -> Path:
        """Write the report; answers its file."""
        return self._write(self.path / REPORT, json.dumps(report.as_json(), indent=1) + "\n")

    def findings(self) -> list[Finding]:
        """Read all findings, one of each key."""
        return list({finding.key: finding for _, finding in self._saved()}.values())

    def _saved(self) -> Iterator[tuple[Path, Finding]]:
        for file in sorted((self.path / FINDINGS).glob(f"*{SUFFIX}")):
            yield file, read_finding(file)

    def seeds(self) -> list[Seed]:
        """Read the corpus."""
        return list(read_seeds(self.path / CORPUS))

    def heal(self, replayer: Replayer, *, keep: bool = False) -> list[tuple[Finding, str]]:
        """Replay all findings: a fixed one's file goes (unless `keep`). Answers each with `still`, `hidden` or `fixed`.

        What another target showed than the cards the replayer makes still stands: it cannot be told here. One is hidden
        where its steps meet another fault first: it is fixed only if they meet none.
        """
        told: dict[str, tuple[Finding, str]] = {}
        with replayer.ready():
            for file, finding in [*self._saved()]:
                state = "still"
                if finding.target == TARGET and not finding.in_reader:
                    hit, _ = replayer.run(finding.root, finding.steps, finding.key)
                    state = "fixed" if hit is None else "still" if hit.key == finding.key else "hidden"
                if state == "fixed" and not keep:
                    for gone in (file, file.with_name(f"test_{finding.id.lower()}.py")):
                        gone.unlink(missing_ok=True)
                told[finding.key] = finding, state
        return list(told.values())

    def _write(self, path: Path, text: str, mode: int = 0o666) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
                file.write(text)
            part.replace(path)  # a run that is killed leaves whole files
        except OSError as fault:
            fault.filename = str(path)  # a full disk names no file
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        return path


def read_finding(path: Path) -> Finding:
    """Read one finding; FindingError says what is wrong with the file."""
    try:
        return parse(path.read_text(encoding="utf-8"), path.name)
    except FindingError:
        raise
    except (OSError, ValueError) as fault:
        raise FindingError(f"{path}: {getattr(fault, 'strerror', None) or fault}") from fault


def read_seeds(folder: Path) -> Iterator[Seed]:
    """Read every entry of a corpus; FindingError says what is wrong with a file."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            steps = tuple(step for _, step, _ in read_lines(lines))
        except OSError as fault:
            raise FindingError(f"{path}: {fault.strerror}") from fault
        except (UnicodeDecodeError, FindingError) as fault:
            raise FindingError(f"{path}: {fault}") from fault
        head = dict(one[1:].split(":", 1) for one in lines if one.startswith("#") and ":" in one)
        root = head.get(" card", "operational").strip()
        if root not in ROOTS:
            raise FindingError(f"{path}: no kind of card {root!r}; there is {', '.join(ROOTS)}")
        yield Seed(root, steps, head.get(" why", "").strip())
