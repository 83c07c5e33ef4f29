"""`bsim fuzz replay`, `tmin`, `cmin` and `show`: what was found, and the corpus."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, add_json, print_json
from bsim.cli.fuzz_part import Parts, corpus, part, writable
from bsim.cli.fuzz_plant import add_plant

if TYPE_CHECKING:
    from bsim.fuzz.finding import Finding
    from bsim.fuzz.replay import Replayer

_REPLAY: Final = """\
examples:
  bsim fuzz replay night                       every finding of a campaign
  bsim fuzz replay night/findings/7QK2.txt     + fixed, x still there, ! not to be read
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
    add_plant(one)
    add_json(one)
    one = part(parts, "tmin", "minimise one finding", _TMIN, tmin)
    one.add_argument("path", metavar="FILE", type=Path)
    one.add_argument("--output", metavar="FILE", type=Path, help="default: the file itself")
    one = part(parts, "cmin", "minimise a corpus", _CMIN, cmin)
    one.add_argument("path", metavar="DIR", type=Path)
    one.add_argument("--output", metavar="DIR", type=Path, help="default: the folder itself")
    one = part(parts, "show", "a finding as text, JSON, a test, or a script for OpenSC", _SHOW, show)
    one.add_argument("path", metavar="FILE", type=Path)
    one.add_argument("--format", choices=["text", "json", "pytest", "opensc"], default="text")


def replay(args: argparse.Namespace) -> int:
    """Replay; 1 if something still stands, 2 if a file cannot be read."""
    from bsim.fuzz import cards

    told: list[dict[str, object]] = []
    worst = 0
    with cards.quick_backups():
        replayer = _replayer()
        with replayer.ready():
            for path in _files(args.path):
                code, one = _replayed(replayer, path)
                worst = max(worst, code)
                told.append(one)
                if not args.json:
                    _say(one)
    if args.json:
        print_json(told)
    return worst


def _replayed(replayer: "Replayer", path: Path) -> tuple[int, dict[str, object]]:
    from bsim.fuzz.files import read_finding
    from bsim.fuzz.finding import FindingError, answer

    try:
        finding = read_finding(path)
    except FindingError as fault:
        return 2, {"file": str(path), "outcome": "error", "what": str(fault)}
    hit, used = replayer.run(finding.root, finding.steps, finding.key)
    outcome = "fixed" if hit is None else "still" if hit.key == finding.key else "another"
    changed = [
        {"step": at, "command": name, "was": was, "is": now}
        for at, ((name, data, sw), was) in enumerate(
            zip(replayer.trace(finding.root, finding.steps), finding.answers, strict=False), 1
        )
        if (now := answer(data, sw)) != was
    ]
    one: dict[str, object] = {"file": str(path), "id": finding.id, "key": finding.key, "outcome": outcome}
    one |= {"what": hit.words if hit is not None else "", "steps": used, "changed": changed}
    return (0 if hit is None else 1), one


def _say(one: dict[str, object]) -> None:
    mark = {"fixed": "+ FIXED", "still": "x FAILED", "another": "x FAILED otherwise", "error": "! ERROR"}
    print(f"{mark[str(one['outcome'])]}  {one['file']}  {one.get('key', '')}  {one['what']}".rstrip())
    changes = one.get("changed", [])
    if isinstance(changes, list):
        for change in changes:
            print(f"    step {change['step']} {change['command']}: {change['was'] or '-'} -> {change['is'] or '-'} ~")


def tmin(args: argparse.Namespace) -> int:
    """Minimise one finding; 1 if it is not met any more."""
    from dataclasses import replace

    from bsim.fuzz import cards
    from bsim.fuzz.finding import answer
    from bsim.fuzz.minimise import Minimiser

    finding = _finding(args.path)
    with cards.quick_backups():
        replayer = _replayer()
        with replayer.ready():
            hit, _ = replayer.run(finding.root, finding.steps, finding.key)
            if hit is None or hit.key != finding.key:
                print(f"+ FIXED  {args.path}: nothing to minimise")
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
    written = {"text": Finding.text, "pytest": export.pytest, "opensc": export.opensc}
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
