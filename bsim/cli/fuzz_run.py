"""`bsim fuzz run` and `bsim fuzz campaign`: bounded for CI, or until Ctrl-C."""

import argparse
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, note, print_json
from bsim.cli.fuzz_options import TIME, add_run_options, check_bounds, jobs_of, options_of, refuse_for_readers
from bsim.cli.fuzz_part import Parts, part, writable
from bsim.cli.fuzz_reader import add_reader_options, given_for_reader
from bsim.cli.fuzz_report import DEFAULT, STREAMED, Stream, add_report_options, folder_of, formats_of, tell, written
from bsim.cli.fuzz_told import LiveLine, again_of, summary, told

if TYPE_CHECKING:
    from bsim.fuzz.campaign import Options
    from bsim.fuzz.finding import Finding
    from bsim.fuzz.result import RunReport

_RUN: Final = """\
examples:
  bsim fuzz run                                30 seconds, a new seed, which is printed
  bsim fuzz run --seed 42 --max-apdus 100000
  bsim fuzz run --include 'SIGN|DERIVE' --exclude-checks differential
  bsim fuzz run -j 2 --max-time 60 --dir out --json
  bsim fuzz run --dir out --report junit,sarif,html
"""
_CAMPAIGN: Final = """\
examples:
  bsim fuzz campaign --dir night
  bsim fuzz campaign --dir night -j 2 --max-time 3600     goes on from what is in the folder
"""


def add(parts: Parts) -> None:
    """Declare both."""
    run = part(parts, "run", "bounded, for CI: every command, every bound, then explore", _RUN, execute)
    add_run_options(run)
    add_reader_options(run)
    add_report_options(run)
    run.set_defaults(resume=False)
    campaign = part(parts, "campaign", "until --max-time or Ctrl-C, to be gone on with", _CAMPAIGN, execute)
    add_run_options(campaign)
    add_reader_options(campaign)
    add_report_options(campaign)
    campaign.set_defaults(resume=True)


def execute(args: argparse.Namespace) -> int:
    """Run; answers the exit code."""
    if args.engine == "atheris":
        return parsers(args)
    formats = formats_of(args)
    if args.on != "ram":
        refuse_for_readers(args)
    options = options_of(args)
    note(f"seed {options.seed}")
    reports = folder_of(args)
    if formats:
        writable(reports)
    try:
        with LiveLine(sys.stderr, quiet=args.quiet) as line:
            if args.dir is None:
                line.keep = _kept_at_once
            report = (_streamed if STREAMED in formats else _run)(args, options, line)
    except OSError as fault:
        if fault.filename is None:  # nothing of ours
            raise
        _tell_unwritten(args.dir, line)
        raise UsageError(f"{fault.filename}: {fault.strerror}; what was written until then is there") from fault
    if report.findings and args.dir is None:
        args.dir = _kept(report)
    if args.json:
        print_json(report.as_json())
    else:
        print("\n".join(summary(report, args.dir, again_of(args))))
    tell(written(report, reports, [name for name in formats if name != STREAMED]))  # last: it may not go well
    return int(report.exit)


def _streamed(args: argparse.Namespace, options: "Options", line: "LiveLine") -> "RunReport":
    """Run, and write what is found as it is found."""
    with Stream(folder_of(args), options.seed, args.on) as stream:
        line.begin, line.also = stream.begin, stream.found
        report = _run(args, options, line)
        stream.end(report)
    return report


def _run(args: argparse.Namespace, options: "Options", line: "LiveLine") -> "RunReport":
    from bsim.fuzz import parallel
    from bsim.fuzz.campaign import Campaign

    if args.on != "ram":
        from bsim.cli.fuzz_reader import run_on_reader, run_on_readers

        return (run_on_readers if "," in args.on else run_on_reader)(args, options, line)
    given = given_for_reader(args)
    if given:
        note(f"{', '.join(given)}: for a card in a reader; this one is emulated, and nothing is forbidden")
    if args.cluster is not None:
        from bsim.fuzz import cluster

        jobs = None if args.jobs == "auto" else jobs_of(args.jobs)
        return cluster.run(options, args.cluster, jobs, line.show, line.found, begin=line.begin)
    jobs = jobs_of(args.jobs)
    line.begin()
    if jobs > 1:
        return parallel.run(options, jobs, line.show, line.found)
    return Campaign(options, line.found, line.raw).run(line.show)


def parsers(args: argparse.Namespace) -> int:
    """Fuzz the parsers with atheris; 1 if one breaks."""
    from bsim.fuzz import parsers as parsing

    check_bounds(args)
    seed = args.seed if args.seed is not None else secrets.randbelow(1 << 31)
    note(f"seed {seed}")
    try:
        broken = parsing.fuzz(seed, args.max_time or TIME)
    except ImportError as fault:
        raise UsageError('--engine atheris wants atheris: pip install "bsim[fuzz]"') from fault
    if args.json:
        print_json([{"parser": one.parser, "what": one.what, "data": one.data.hex()} for one in broken])
    else:
        for one in broken:
            print(f"{one.parser}: {one.what}\n  {one.data.hex()}")
        print("nothing found" if not broken else f"{len(broken)} finding")
    return 1 if broken else 0


def _tell_unwritten(folder: Path | None, line: "LiveLine") -> None:
    """Tell in whole what was found and is in no file."""
    from bsim.fuzz.files import Folder

    for finding in line.met.values():
        if folder is None or not Folder(folder).file_of(finding).exists():
            print("\n".join(told(finding, None)), file=sys.stderr)


def _kept_at_once(finding: "Finding") -> None:
    """Write a finding of a run without a folder when it is found. That it cannot be is told once, at the end."""
    from bsim.fuzz.files import Folder

    with suppress(OSError):
        Folder(DEFAULT).save_finding(finding)


def _kept(report: "RunReport") -> Path | None:
    """Write the findings of a run without a folder: they are not to be lost. None where they cannot be written."""
    from bsim.fuzz.files import Folder

    folder = Folder(DEFAULT)
    try:
        for finding in report.findings:
            folder.save_finding(finding)
        folder.save_report(report)
    except OSError as fault:
        note(f"{DEFAULT}: {fault.strerror}; what was found is told here only")
        return None
    return folder.path
