"""`bsim readers`: the PC/SC readers, as `--on reader:NAME` takes them."""

import argparse

from bsim.cli.common import add_json, note, print_json

EXAMPLES = """\
examples:
  bsim readers
  bsim wallet accounts --on reader:0         the first of them
  bsim wallet accounts --on reader:Virtual   by a part of its name
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """List them."""
    from bsim.lab.reader import readers

    names = readers()
    if args.json:
        print_json(names)
        return 0
    for number, name in enumerate(names):
        print(f"{number}  {name}")
    if not names:
        note("PC/SC runs, and no reader is connected")
    return 0
