"""`bsim trace`: read a recording, and turn it into what other tools read."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bsim.cli.common import Style, UsageError, add_json, note, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bsim.lab.trace import Dialogue, Exchange, Reset, Start, Trace
    from bsim.spec.decode import Decoder

EXAMPLES = """\
examples:
  bsim trace show run.bsimtrace
  bsim trace export run.bsimtrace --to gsmtap run.pcap       for Wireshark: wireshark run.pcap
  bsim trace export run.bsimtrace --to pytest test_run.py    a test that passes on the emulated card
  bsim trace export run.bsimtrace --to transcript run.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", title="what to do", required=True)
    show = _verb(verbs, "show", "show every exchange by its names", "show run.bsimtrace")
    add_json(show)
    export = _verb(verbs, "export", "write it in another format", "export run.bsimtrace --to gsmtap run.pcap")
    export.add_argument("--to", required=True, choices=sorted(_FORMATS), help="the format")
    export.add_argument("out", metavar="OUT", type=Path, help="the file to write; never overwritten")
    export.add_argument("--card", choices=["test", "blank"], default="test", help="the card tests begin with")
    export.add_argument("--handset", metavar="SCRIPT", help="their phone (default: right; none if the app was one)")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str, example: str
) -> argparse.ArgumentParser:
    text = f"{summary[0].upper()}{summary[1:]}."
    parser = verbs.add_parser(name, help=summary, description=text, epilog=f"example:\n  bsim trace {example}")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", type=Path, help="the trace, FILE.bsimtrace")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    from bsim.lab.trace import read

    trace = read(args.file)
    if trace.torn:
        note(f"{args.file}: a line was cut off when its writer ended; it is left out")
    if args.what == "show":
        for lines in _shown(trace, as_json=args.json):
            print_json(lines) if isinstance(lines, dict) else print(lines)
        return 0
    data = _FORMATS[args.to](trace, args)
    try:
        with args.out.open("xb") as file:
            file.write(data)
    except OSError as fault:
        raise UsageError(f"{args.out}: {fault.strerror}") from fault
    note(f"{args.out} is written")
    return 0


def _shown(trace: "Trace", *, as_json: bool) -> "Iterable[str | dict[str, object]]":
    from bsim.lab.trace import Dialogue, Exchange, Reset
    from bsim.spec import spec
    from bsim.spec.decode import Decoder

    decoder, style = Decoder(spec(), hide=trace.hidden), Style()
    for event in trace.events:
        if isinstance(event, Exchange):
            yield _exchange_json(event, decoder) if as_json else _exchange(event, decoder, style)
        elif isinstance(event, Dialogue):
            yield _dialogue(event, as_json)
        else:
            decoder.reset()
            yield _reset(event, as_json) if isinstance(event, Reset) else _start(event, as_json)


def _exchange(event: "Exchange", decoder: "Decoder", style: Style) -> str:
    from bsim.cli.show import exchange
    from bsim.lab.trace import unmasked

    command = decoder.command(unmasked(event.command))
    time = style.dim(f"{event.at:.6f} s, took {event.took * 1000:.3f} ms")
    if event.lost:
        return (
            f"{time}\n{style.bold(_plain(event.name) or '?')}\n  > {command.shown}\n  {style.bad(_plain(event.lost))}"
        )
    answer = decoder.response(command, unmasked(event.response))
    return "\n".join((time, *exchange(command, answer, style)))


def _exchange_json(event: "Exchange", decoder: "Decoder") -> dict[str, object]:
    from bsim.lab.trace import unmasked
    from bsim.spec.decode import exchange_json

    times: dict[str, object] = {"at": event.at, "took": event.took}
    command = decoder.command(unmasked(event.command))
    if event.lost:
        return times | {"command": event.command, "name": event.name, "lost": event.lost}
    return times | exchange_json(command, decoder.response(command, unmasked(event.response)))


def _dialogue(event: "Dialogue", as_json: bool) -> "str | dict[str, object]":
    if as_json:
        return {"at": event.at, "phone": event.text, "asked": event.asked, "result": event.result}
    return f"{event.at:.6f} s\n[phone] {_plain(event.text)} ({_plain(event.asked)}: {_plain(event.result)})"


def _reset(event: "Reset", as_json: bool) -> "str | dict[str, object]":
    if as_json:
        return {"at": event.at, "reset": True, "atr": event.atr}
    return f"{event.at:.6f} s\nRESET\n  < {event.atr}"


def _start(event: "Start", as_json: bool) -> "str | dict[str, object]":
    if as_json:
        return {"recorded": event.when, "target": event.target, "link": event.link, "spec": event.spec}
    return f"recorded {_plain(event.when)} on {_plain(event.target) or 'a card'} over {_plain(event.link)}"


def _plain(text: str) -> str:
    """A trace's own words, control characters written out: a file from elsewhere does not steer the terminal."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _gsmtap(trace: "Trace", _: argparse.Namespace) -> bytes:
    from bsim.lab.gsmtap import pcap

    return pcap(trace)


def _pytest(trace: "Trace", args: argparse.Namespace) -> bytes:
    from bsim.lab.rehearse import pytest_file, rehearse

    return pytest_file(rehearse(trace, args.card, args.handset, iccid=None)).encode()


def _transcript(trace: "Trace", args: argparse.Namespace) -> bytes:
    from bsim.lab.rehearse import rehearse, transcript

    return transcript(rehearse(trace, args.card, args.handset)).encode()


_FORMATS: "dict[str, Callable[[Trace, argparse.Namespace], bytes]]" = {
    "gsmtap": _gsmtap,
    "pytest": _pytest,
    "transcript": _transcript,
}
