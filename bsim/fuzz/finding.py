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
_CORPUS: Final = "# bsim fuzz corpus"


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


def read_lines(lines: Sequence[str]) -> list[tuple[str, Step, str]]:
    """Read the steps among the lines of a file, where # begins a comment; FindingError names the line."""
    read = []
    for number, written in enumerate(lines, 1):
        if written.strip() and not written.startswith("#"):
            try:
                read.append(read_line(written))
            except StepError as fault:
                raise FindingError(f"line {number}: {fault}") from fault
    return read


def check_answer(answered: str) -> None:
    """ValueError for what is not written as `answer` writes it."""
    sw, _, data = answered.partition(" ")
    if len(bytes.fromhex(sw)) not in {0, 2} or (data and not sw):
        raise ValueError("no status word")
    bytes.fromhex(data)


def parse(text: str, name: str = "finding") -> Finding:
    """Read what `Finding.text` writes; FindingError names what is wrong."""
    lines = text.splitlines()
    if _CORPUS in lines:
        raise FindingError(
            f"{name}: an entry of a corpus, and no finding; `bsim fuzz run --seeds DIR` begins with its folder, and"
            " `bsim fuzz corpus export` makes scripts of it"
        )
    head: dict[str, str] = {}
    for written in lines:
        if written.startswith("#"):
            key, _, value = written[1:].partition(":")
            head[key.strip()] = value.strip()
    try:
        read = read_lines(lines)
    except FindingError as fault:
        raise FindingError(f"{name}, {fault}") from fault
    for number, (_, _, answered) in enumerate(read, 1):
        try:
            check_answer(answered)
        except ValueError:
            raise FindingError(f"{name}, step {number}: the answer is a status word and hex: {answered!r}") from None
    return _made(
        head,
        tuple(step for _, step, _ in read),
        tuple(symbol for symbol, _, _ in read),
        tuple(answered for _, _, answered in read),
        name,
    )


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
        _number(head, "seed", name),
        head.get("engine", ""),
        head.get("target", ""),
        head.get("spec", ""),
        head.get("bsim", ""),
        _number(head, "apdus", name),
    )


def _number(head: Mapping[str, str], field: str, name: str) -> int:
    try:
        return int(head.get(field) or 0)
    except ValueError:
        raise FindingError(f"{name}: {field}: a number is wanted") from None


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
