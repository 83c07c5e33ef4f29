"""A finding: what must not be, and the fewest steps that lead there. One readable text file each."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from shlex import quote
from typing import Final

from bsim import __version__
from bsim.fuzz import cards
from bsim.fuzz import steps as moves
from bsim.fuzz.oracles import CHECKS, Hit
from bsim.fuzz.replay import Answered
from bsim.fuzz.steps import Step, StepError
from bsim.lab.record import CIPHERTEXT
from bsim.spec import folder, spec
from bsim.spec.decode import MASK, Decoder

SUFFIX: Final = ".txt"
BPIN_HERE: Final = "BPIN"
"""What stands for a BPIN, which is not printed, in a command line to be copied."""
EMULATED: Final = "ram"
"""The target whose secrets are nobody's: nothing of it is masked."""
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
    def in_reader(self) -> bool:
        """Whether it was found on a card in a reader: no card made here shows it."""
        return self.root == cards.CARD

    @property
    def where(self) -> str:
        """What `bsim fuzz replay` is to be given to replay it where it was found; empty for an emulated card."""
        return f"--on {quote(self.target)} --allow-card 'ATR|ICCID' --bpin {BPIN_HERE}" if self.in_reader else ""

    @property
    def command(self) -> str:
        """The command the last step was."""
        return self.names[-1] if self.names else "?"

    def text(self) -> str:
        """Write the file."""
        return self._text(line(*one) for one in zip(self.names, self.steps, self.answers, strict=True))

    def shown(self) -> str:
        """Write the file as it may be shown: what a real card was told, and told, is masked."""
        return self._text(self.lines())

    def _text(self, lines: Iterable[str]) -> str:
        head = (
            f"{_MARK}{self.id}",
            f"# what: {' '.join(self.words.split())}",
            f"# key: {self.key}",
            f"# card: {self.root}",
            f"# seed: {self.seed}",
            f"# engine: {self.engine}",
            f"# target: {self.target}",
            f"# spec: {self.spec}",
            f"# bsim: {self.version}",
            f"# apdus: {self.apdus}",
        )
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
                {"command": name, "step": step, "answer": answered}
                for name, step, answered in (self._masked() if self.target != EMULATED else self._whole())
            ],
        }

    def lines(self) -> list[str]:
        """The steps with what each was answered, a line each, to be shown: what a real card was told, and told, is
        masked where it may be secret."""
        if self.target == EMULATED:
            return [line(*one) for one in zip(self.names, self.steps, self.answers, strict=True)]
        return [
            step if step == "RESET" else f"{name:<22} {step}{_ARROW}{answered}".rstrip()
            for name, step, answered in self._masked()
        ]

    def _whole(self) -> Iterator[tuple[str, str, str]]:
        for name, step, answered in zip(self.names, self.steps, self.answers, strict=True):
            yield name, moves.text(step), answered

    def _masked(self) -> Iterator[tuple[str, str, str]]:
        decoder = Decoder(spec(), hide=CIPHERTEXT)
        last = len(self.steps) - 1
        for at, (name, step, answered) in enumerate(zip(self.names, self.steps, self.answers, strict=True)):
            if step[0] == moves.RESET:
                decoder.reset()
                yield name, moves.text(step), answered
                continue
            decoded = decoder.command(step[1])
            sw, _, data = answered.partition(" ")
            shown = decoder.response(decoded, bytes.fromhex(data + sw)).shown.removesuffix(sw).strip() if sw else ""
            if self.oracle == "secret-leak" and at == last:
                shown = MASK * (len(data) // 2)
            yield name, f"{decoded.shown} {moves.mark(step)}".strip(), f"{sw} {shown}".strip()


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
    if head["card"] not in {*cards.ROOTS, cards.CARD}:
        raise FindingError(f"{name}: no kind of card {head['card']!r}; there is {', '.join(cards.ROOTS)}")
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
    hit: Hit,
    root: str,
    steps: Sequence[Step],
    told: Sequence[Answered],
    *,
    seed: int,
    engine: str,
    target: str,
    apdus: int,
) -> Finding:
    """Make the finding of a hit; `told` is what its steps were answered, as far as they went."""
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
