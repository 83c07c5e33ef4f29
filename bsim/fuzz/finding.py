"""A finding: what must not be, and the fewest steps that lead there. One readable text file each."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from bsim import __version__
from bsim.fuzz import steps as moves
from bsim.fuzz.oracles import CHECKS, Hit
from bsim.fuzz.replay import Replayer
from bsim.fuzz.steps import Step, StepError
from bsim.spec import folder

SUFFIX: Final = ".txt"
_ARROW: Final = "  ->  "
_MARK: Final = "# bsim fuzz finding "


class FindingError(ValueError):
    """A file that is no finding; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verified, minimised finding. `answers` are what each step was answered when it was saved (hex, status word)."""

    oracle: str
    rule: str
    words: str
    root: str
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    answers: tuple[str, ...]
    seed: int
    engine: str
    target: str
    spec: str
    version: str
    apdus: int = 0

    @property
    def key(self) -> str:
        """The root cause's name: findings of one key are one."""
        return f"{self.oracle}/{self.rule}"

    @property
    def id(self) -> str:
        """Four letters and digits, the same for the same key."""
        return base64.b32encode(hashlib.sha256(self.key.encode()).digest())[:4].decode()

    @property
    def command(self) -> str:
        """The command the last step was."""
        return self.names[-1] if self.names else "?"

    def text(self) -> str:
        """Write the file."""
        head = (
            f"{_MARK}{self.id}",
            f"# what: {self.words}",
            f"# key: {self.key}",
            f"# card: {self.root}",
            f"# seed: {self.seed}",
            f"# engine: {self.engine}",
            f"# target: {self.target}",
            f"# spec: {self.spec}",
            f"# bsim: {self.version}",
            f"# apdus: {self.apdus}",
        )
        lines = (line(*one) for one in zip(self.names, self.steps, self.answers, strict=True))
        return "\n".join((*head, *lines)) + "\n"

    def as_json(self) -> dict[str, object]:
        """The same for machines: docs/fuzzing.md describes it."""
        check = CHECKS[self.oracle]
        return {
            "id": self.id,
            "key": self.key,
            "oracle": self.oracle,
            "level": check.level,
            "cwe": check.cwe,
            "what": self.words,
            "command": self.command,
            "card": self.root,
            "seed": self.seed,
            "engine": self.engine,
            "target": self.target,
            "spec": self.spec,
            "version": self.version,
            "apdus": self.apdus,
            "steps": [
                {"command": name, "step": moves.text(step), "answer": answer}
                for name, step, answer in zip(self.names, self.steps, self.answers, strict=True)
            ],
        }


def line(name: str, step: Step, answered: str) -> str:
    """Write one step for people: the command's name, its bytes, and what it was answered."""
    if step == moves.POWER_CYCLE:
        return moves.text(step)
    return f"{name:<22} {moves.text(step)}{_ARROW}{answered}".rstrip()


def read_line(written: str) -> tuple[str, Step, str]:
    """Read what `line` writes; StepError otherwise."""
    words, _, answered = written.partition(_ARROW.rstrip())
    symbol, _, rest = words.strip().partition(" ")
    return symbol, moves.parse(rest or symbol), answered.strip()


def parse(text: str, name: str = "finding") -> Finding:
    """Read what `Finding.text` writes; FindingError names what is wrong."""
    head: dict[str, str] = {}
    steps, names, answers = [], [], []
    for number, written in enumerate(text.splitlines(), 1):
        if written.startswith("#"):
            key, _, value = written[1:].partition(":")
            head[key.strip()] = value.strip()
        elif written.strip():
            try:
                symbol, step, answered = read_line(written)
            except StepError as fault:
                raise FindingError(f"{name}, line {number}: {fault}") from fault
            steps.append(step)
            names.append(symbol)
            answers.append(answered)
    return _made(head, tuple(steps), tuple(names), tuple(answers), name)


def _made(
    head: Mapping[str, str], steps: tuple[Step, ...], names: tuple[str, ...], answers: tuple[str, ...], name: str
) -> Finding:
    missing = [key for key in ("key", "card") if not head.get(key)]
    if missing or not steps:
        raise FindingError(f"{name}: no finding: {', '.join(missing) or 'steps'} missing")
    oracle, _, rule = head["key"].partition("/")
    if oracle not in CHECKS:
        raise FindingError(f"{name}: no check {oracle!r}; there is {', '.join(CHECKS)}")
    return Finding(
        oracle,
        rule,
        head.get("what", ""),
        head["card"],
        steps,
        names,
        answers,
        int(head.get("seed", "0") or 0),
        head.get("engine", ""),
        head.get("target", ""),
        head.get("spec", ""),
        head.get("bsim", ""),
        int(head.get("apdus", "0") or 0),
    )


def make(
    hit: Hit, root: str, steps: Sequence[Step], replayer: Replayer, *, seed: int, engine: str, target: str, apdus: int
) -> Finding:
    """Make the finding of a hit, its answers as they are now."""
    told = replayer.trace(root, steps)
    return Finding(
        hit.oracle,
        hit.rule,
        hit.words,
        root,
        tuple(steps[: len(told)]),
        tuple(name for name, _, _ in told),
        tuple(answer(data, sw) for _, data, sw in told),
        seed,
        engine,
        target,
        spec_hash(),
        __version__,
        apdus,
    )


def answer(data: bytes, sw: int) -> str:
    """Write an answer: status word, then data."""
    return f"{sw:04X} {data.hex().upper()}".strip() if sw else ""


@cache
def spec_hash() -> str:
    """Answer eight hex digits that change with the declaration."""
    digest = hashlib.sha256()
    for file in sorted(folder().iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:8]
