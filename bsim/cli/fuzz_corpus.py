"""`bsim fuzz corpus`: what other tools logged becomes seeds, and seeds become scripts of other tools."""

import argparse
from pathlib import Path
from typing import Final

from bsim.cli.common import UsageError
from bsim.cli.fuzz_part import Parts, corpus, part, writable

_CORPUS: Final = """\
examples:
  bsim fuzz corpus import wallet.bsimtrace spy.log --dir seeds
  bsim fuzz run --seeds seeds
  bsim fuzz corpus export night/corpus --to opensc --dir scripts

Logs are known by what is in them: pcsc-spy, OpenSC (OPENSC_DEBUG=9), pySim (--apdu-trace), simtrace2-sniff, .bsimtrace.
What a declaration calls secret is blanked out, and the test card's PIN is typed for whatever was typed.
"""


def add(parts: Parts) -> None:
    """Declare both."""
    one = part(parts, "corpus", "make seeds of what other tools logged, and scripts of seeds", _CORPUS, execute)
    verbs = one.add_subparsers(dest="verb", metavar="WHAT", required=True)
    take = verbs.add_parser("import", help="logs to seeds")
    take.add_argument("logs", metavar="LOG", nargs="+", type=Path)
    take.add_argument("--dir", metavar="DIR", type=Path, required=True, help="where the seeds go")
    take.add_argument("--kind", default="operational", help="the kind of card they begin with (default: operational)")
    give = verbs.add_parser("export", help="seeds to scripts")
    give.add_argument("corpus", metavar="CORPUS", type=Path)
    give.add_argument("--to", choices=["opensc", "pysim"], required=True, help="opensc-tool in a shell, or pySim-shell")
    give.add_argument("--dir", metavar="DIR", type=Path, required=True, help="where the scripts go")


def execute(args: argparse.Namespace) -> int:
    """Do one of them."""
    return _import(args) if args.verb == "import" else _export(args)


def _import(args: argparse.Namespace) -> int:
    from bsim.fuzz.cards import ROOTS
    from bsim.fuzz.files import Folder
    from bsim.fuzz.traces import seeds

    if args.kind not in ROOTS:
        raise UsageError(f"no kind of card {args.kind!r}; there is {', '.join(ROOTS)}")
    found = [seed for log in args.logs for seed in seeds(log, args.kind)]
    writable(args.dir)
    for seed in found:
        Folder(args.dir).save_to(args.dir, seed)
    print(f"{len({seed.name for seed in found})} seeds of {sum(len(seed.steps) for seed in found)} commands")
    return 0


def _export(args: argparse.Namespace) -> int:
    from bsim.fuzz import export
    from bsim.fuzz.grammar import grammar

    found = corpus(args.corpus)
    writable(args.dir)
    make, suffix = export.SCRIPTS[args.to]
    for seed in found:
        names = [grammar().name(step[1]) for step in seed.steps]
        path = args.dir / Path(seed.name).with_suffix(suffix)
        try:
            path.write_text(make(seed.why, names, seed.steps), encoding="utf-8")
        except OSError as fault:
            raise UsageError(f"{path}: {fault.strerror}") from fault
    print(f"{len(found)} scripts")
    return 0
