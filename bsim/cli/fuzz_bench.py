"""`bsim fuzz bench`: planted faults, engines side by side."""

import argparse
from dataclasses import asdict
from typing import Final

from bsim.cli.common import UsageError, add_json, note, print_json
from bsim.cli.fuzz_part import Parts, names_of, part

_BENCH: Final = """\
examples:
  bsim fuzz bench                              every planted fault, one seed
  bsim fuzz bench --seeds 10 --engines state,model,uniform
  bsim fuzz bench --faults tear,chain --engines ''

Exit codes: 0 all found, 1 some not.
"""


def add(parts: Parts) -> None:
    """Declare it."""
    parser = part(parts, "bench", "planted faults, engines side by side", _BENCH, execute)
    parser.add_argument("--seeds", metavar="N", type=int, default=1, help="how many seeds, from 1 (default: 1)")
    parser.add_argument("--faults", metavar="NAMES", help="only these, with commas between (default: all)")
    engines = "default: state,model,uniform; also random, atheris"
    parser.add_argument("--engines", metavar="NAMES", default="state,model,uniform", help=engines)
    add_json(parser)


def execute(args: argparse.Namespace) -> int:
    """Hunt, then race; 1 if a fault was not found."""
    from bsim.bench import hunt
    from bsim.bench.planted import FAULTS

    names = list(FAULTS) if args.faults is None else names_of(args.faults)
    engines = names_of(args.engines)
    if args.seeds < 1:
        raise UsageError("--seeds is 1 or more")
    if unknown := [name for name in names if name not in FAULTS]:
        raise UsageError(f"no fault {', '.join(unknown)}; there is {', '.join(FAULTS)}")
    if unknown := [name for name in engines if name not in hunt.CAPS]:
        raise UsageError(f"no engine {', '.join(unknown)}; there is {', '.join(hunt.CAPS)}")
    seeds = range(1, args.seeds + 1)
    caught = []
    for one in hunt.hunts(names, seeds):
        outcome = f"{one.seconds:.1f} s, {one.apdus:,} APDUs" if one.found else "missed"
        note(f"{one.fault}, seed {one.seed}: {outcome}")
        caught.append(one)
    races = []
    for engine in engines:
        races.append(hunt.race(engine, seeds, FAULTS[hunt.DEEP]))
        note(f"engine {engine}: {', '.join('-' if count is None else f'{count:,}' for count in races[-1].apdus)} APDUs")
    if args.json:
        rows = [{**asdict(one), "median": one.median if one.median < float("inf") else None} for one in races]
        print_json({"summary": hunt.summary(caught), "hunts": [asdict(one) for one in caught], "engines": rows})
    else:
        print("\n".join((*hunt.table(caught), "", *hunt.race_table(races))))
        print("\n" + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in hunt.summary(caught).items()))
    return 0 if all(one.found for one in caught) else 1
