"""`bsim spec`: the command reference, from the declarations."""

import argparse

from bsim.cli.common import UsageError, add_json, print_json

EXAMPLES = """\
examples:
  bsim spec                 all commands, a line each
  bsim spec SIGN            everything about one
  bsim spec export-pubkeys --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("command", metavar="COMMAND", nargs="?", help="a command's name (default: list them all)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the reference."""
    from bsim.spec import spec
    from bsim.spec.render import as_json, find, index, reference

    declared = spec()
    if args.command is None:
        every = [command for applet in declared.applets.values() for command in applet.commands.values()]
        if args.json:
            print_json([as_json(command) for command in every])
        else:
            print(index(declared))
        return 0
    found = find(declared, args.command)
    if not found:
        raise UsageError(_unknown(args.command, [name for a in declared.applets.values() for name in a.commands]))
    if args.json:
        print_json([as_json(command) for command in found])
    else:
        print("\n\n".join(reference(declared, command) for command in found))
    return 0


def _unknown(name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.upper(), names, 3, 0.5)
    meant = f"; did you mean {' or '.join(close)}?" if close else "; `bsim spec` lists them"
    return f"no command {name!r}{meant}"
