"""`bsim fuzz replay`, `tmin`, `cmin` and `show`: what was found, and the corpus."""

import argparse
import sys
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, add_json, print_json
from bsim.cli.fuzz_part import Parts, corpus, part, writable
from bsim.cli.fuzz_plant import add_plant
from bsim.cli.fuzz_reader import add_reader_options, given_for_reader, safe_card

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bsim.fuzz.card_replay import CardReplayer
    from bsim.fuzz.finding import Finding
    from bsim.fuzz.replay import Replayer, Replays
    from bsim.fuzz.safe import SafeCard

_REPLAY: Final = """\
examples:
  bsim fuzz replay night                       every finding of a campaign
  bsim fuzz replay night/findings/7QK2.txt     + fixed, x still there, ! not to be read, or not replayed
  bsim fuzz replay out/findings/7QK2.txt --on reader:0 --allow-card 8986030000000000072 --bpin 123456
"""
_TMIN: Final = """\
example:
  bsim fuzz tmin case.txt --output small.txt
"""
_CMIN: Final = """\
example:
  bsim fuzz cmin night/corpus --output small   the fewest entries that reach as much
"""
_SHOW: Final = """\
examples:
  bsim fuzz show night/findings/7QK2.txt
  bsim fuzz show night/findings/7QK2.txt --format opensc > send.sh
"""


def add(parts: Parts) -> None:
    """Declare all four."""
    one = part(parts, "replay", "send again what was found, and see whether it still stands", _REPLAY, replay)
    one.add_argument("path", metavar="FILE|DIR", type=Path)
    one.add_argument("--on", metavar="TARGET", default="ram", help="ram, or reader:NAME for what was found there")
    add_reader_options(one)
    add_plant(one)
    add_json(one)
    one = part(parts, "tmin", "minimise one finding", _TMIN, tmin)
    one.add_argument("path", metavar="FILE", type=Path)
    one.add_argument("--output", metavar="FILE", type=Path, help="default: the file itself")
    add_plant(one)
    one = part(parts, "cmin", "minimise a corpus", _CMIN, cmin)
    one.add_argument("path", metavar="DIR", type=Path)
    one.add_argument("--output", metavar="DIR", type=Path, help="default: the folder itself")
    one = part(parts, "show", "a finding as text, JSON, a test, or a script for OpenSC", _SHOW, show)
    one.add_argument("path", metavar="FILE", type=Path)
    one.add_argument("--format", choices=["text", "json", "pytest", "opensc"], default="text")


def replay(args: argparse.Namespace) -> int:
    """Replay; 1 if something still stands, 2 if a file cannot be read, or was not replayed."""
    told: list[dict[str, object]] = []
    worst = 0
    files = _files(args.path)
    with _replaying(args) as replayer:
        for path in files:
            code, one = _replayed(replayer, path)
            worst = max(worst, code)
            told.append(one)
            if not args.json:
                _say(one)
    if args.json:
        print_json(told)
    return worst


@contextmanager
def _replaying(args: argparse.Namespace) -> "Iterator[Replays]":
    """What replays: on emulated cards, or on the one in a reader within the rules of safe mode."""
    from bsim.fuzz import cards
    from bsim.fuzz.finding import BPIN_HERE
    from bsim.lab.targets import SUFFIX, is_real

    if args.on == "ram":
        if given := given_for_reader(args):
            raise UsageError(f"{', '.join(given)}: for a card in a reader (--on reader:NAME)")
        with cards.quick_backups():
            replayer = _replayer()
            with replayer.ready():
                yield replayer
        return
    if not (is_real(args.on) or args.on.endswith(SUFFIX)) or "," in args.on:
        raise UsageError(f"--on {args.on}: findings are replayed on ram, on a copy of FILE.bsim, or on one reader:NAME")
    if args.bpin == BPIN_HERE:
        raise UsageError(f"--bpin {BPIN_HERE}: put the BPIN of your card there")
    with safe_card(args) as safe:
        on_card = _card_replayer(args, safe)
        with on_card.ready():
            yield on_card


def _card_replayer(args: argparse.Namespace, safe: "SafeCard") -> "CardReplayer":
    from bsim.fuzz.card_replay import CardReplayer
    from bsim.fuzz.card_rig import CardRig
    from bsim.fuzz.grammar import grammar
    from bsim.fuzz.oracles import OUTSIDE, Judge

    return CardReplayer(grammar(), Judge(OUTSIDE), CardRig(grammar(), safe, args.bpin), safe)


def _replayed(replayer: "Replays", path: Path) -> tuple[int, dict[str, object]]:
    from bsim.fuzz.card_replay import CardReplayer
    from bsim.fuzz.files import read_finding
    from bsim.fuzz.finding import FindingError, answer

    try:
        finding = read_finding(path)
    except FindingError as fault:
        return 2, {"file": str(path), "outcome": "error", "what": str(fault)}
    one: dict[str, object] = {"file": str(path), "id": finding.id, "key": finding.key}
    on_card = isinstance(replayer, CardReplayer)
    if finding.in_reader is not on_card:
        what = f"found on {finding.target or 'ram'}: to be replayed with {finding.where or 'no --on'}"
        return 2, one | {"outcome": "error", "what": what}
    hit, used = replayer.run(finding.root, finding.steps, finding.key)
    if hit is None and isinstance(replayer, CardReplayer) and replayer.refused:
        return 2, one | {"outcome": "error", "what": f"not replayed to its end: {replayer.refused}"}
    outcome = "fixed" if hit is None else "still" if hit.key == finding.key else "another"
    changed = [
        {"step": at, "command": name, "was": was, "is": now}
        for at, ((name, data, sw), was) in enumerate(
            zip(replayer.trace(finding.root, finding.steps), finding.answers, strict=False), 1
        )
        if (now := answer(data, sw)) != was
    ]
    one |= {"outcome": outcome, "what": hit.words if hit is not None else "", "steps": used, "changed": changed}
    return (0 if hit is None else 1), one


def _say(one: dict[str, object]) -> None:
    mark = {"fixed": "+ FIXED", "still": "x FAILED", "another": "x FAILED otherwise", "error": "! ERROR"}
    print(f"{mark[str(one['outcome'])]}  {one['file']}  {one.get('key', '')}  {one['what']}".rstrip())
    changes = one.get("changed", [])
    if isinstance(changes, list):
        for change in changes:
            print(f"    step {change['step']} {change['command']}: {change['was'] or '-'} -> {change['is'] or '-'} ~")


def tmin(args: argparse.Namespace) -> int:
    """Minimise one finding; 0 if it is fixed too, as in `replay`, and 1 if another is met before it."""
    from dataclasses import replace

    from bsim.fuzz import cards
    from bsim.fuzz.finding import answer
    from bsim.fuzz.minimise import Minimiser

    finding = _finding(args.path)
    if finding.in_reader:
        raise UsageError(
            f"{args.path}: found on {finding.target}, where it was minimised; emulated cards do not show it"
        )
    with cards.quick_backups():
        replayer = _replayer()
        with replayer.ready():
            hit, _ = replayer.run(finding.root, finding.steps, finding.key)
            if hit is None:
                print(f"+ FIXED  {args.path}: nothing to minimise")
                return 0
            if hit.key != finding.key:
                print(f"x FAILED otherwise  {args.path}: {hit.key} is met before it; nothing was minimised")
                return 1
            small = Minimiser(replayer, finding.root, finding.steps, finding.key)
            small.run()
            told = replayer.trace(small.root, small.steps)
    found = replace(
        finding,
        root=small.root,
        steps=tuple(small.steps),
        names=tuple(name for name, _, _ in told),
        answers=tuple(answer(data, sw) for _, data, sw in told),
    )
    output = args.output or args.path
    try:
        output.write_text(found.text(), encoding="utf-8")
    except OSError as fault:
        raise UsageError(f"{output}: it cannot be written ({fault.strerror})") from fault
    print(f"{len(finding.steps)} steps, now {len(found.steps)}, with {replayer.replays} replays")
    return 0


def cmin(args: argparse.Namespace) -> int:
    """Keep the shortest entries that together reach every state, and every status word of every command."""
    from bsim.fuzz import cards
    from bsim.fuzz.files import Folder
    from bsim.fuzz.shrink import smallest_cover

    seeds = corpus(args.path)
    target = args.output or args.path
    writable(target)
    with cards.quick_backups():
        replayer = _replayer()
        with replayer.ready():
            kept = smallest_cover(replayer, seeds)
    names = {seed.name for seed in kept}
    if target == args.path:
        for seed in seeds:
            if seed.name not in names:
                (args.path / seed.name).unlink(missing_ok=True)
    else:
        for seed in kept:
            Folder(target).save_to(target, seed)
    print(f"{len(seeds)} entries, now {len(kept)}")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print one finding."""
    from bsim.fuzz import export
    from bsim.fuzz.finding import Finding

    finding = _finding(args.path)
    if args.format == "json":
        print_json(finding.as_json())
        return 0
    if args.format == "pytest" and finding.in_reader:
        raise UsageError(
            f"{args.path}: found on {finding.target}, and a test has no card: "
            f"bsim fuzz replay {quote(str(args.path))} {finding.where}"
        )
    written = {"text": Finding.shown, "pytest": export.pytest, "opensc": export.opensc}
    sys.stdout.write(written[args.format](finding))
    return 0


def _finding(path: Path) -> "Finding":
    from bsim.fuzz.files import read_finding
    from bsim.fuzz.finding import FindingError

    try:
        return read_finding(path)
    except FindingError as fault:
        raise UsageError(str(fault)) from fault


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        inner = path / "findings"
        found = sorted((inner if inner.is_dir() else path).glob("*.txt"))
        if not found:
            raise UsageError(f"{path}: no findings here")
        return found
    if not path.exists():
        raise UsageError(f"{path}: there is no such file")
    return [path]


def _replayer() -> "Replayer":
    from bsim.fuzz.grammar import grammar
    from bsim.fuzz.oracles import Judge
    from bsim.fuzz.replay import Replayer

    return Replayer(grammar(), Judge())
