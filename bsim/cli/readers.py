"""`bsim readers`: the PC/SC readers, as `--on reader:NAME` takes them, and what comes and goes."""

import argparse

from bsim.cli.common import add_json, note, print_json

EXAMPLES = """\
examples:
  bsim readers
  bsim readers --watch                       readers and cards as they come and go; Ctrl-C ends
  bsim readers --watch --json                the same, a JSON line an event
  bsim wallet accounts --on reader:0         the first of them
  bsim wallet accounts --on reader:Virtual   by a part of its name
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--watch", action="store_true", help="go on, and tell what is plugged in and out, put in and out"
    )
    parser.add_argument(
        "--for", dest="seconds", metavar="SECONDS", type=float, help="watch until so long nothing happens"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """List them, or watch them."""
    from bsim.lab.reader import readers

    if args.watch:
        return _watch(args)
    names = readers()
    if args.json:
        print_json(names)
        return 0
    for number, name in enumerate(names):
        print(f"{number}  {name}")
    if not names:
        note("PC/SC runs, and no reader is connected")
    return 0


def _watch(args: argparse.Namespace) -> int:
    from bsim.lab.hotplug import watch

    for event in watch(timeout=args.seconds):
        if args.json:
            print_json({"event": str(event.what), "reader": event.reader, "atr": event.atr.hex().upper()})
        else:
            print(f"{event.what:<9} {event.reader}  {event.atr.hex().upper()}".rstrip(), flush=True)
    return 0
