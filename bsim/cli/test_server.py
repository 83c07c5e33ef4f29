"""`bsim test-server`: cards for tests in any language, over HTTP, for as long as the test run lasts."""

import argparse
import os
import sys
import threading
from typing import TYPE_CHECKING

from bsim.cli.common import DEFAULT_BPIN, UsageError, print_json
from bsim.cli.slots import stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from bsim.lab.testbed import Wanted
    from bsim.links.web import WebServer

EXAMPLES = """\
examples:
  bsim test-server --until-eof                     one card; ends when your test run ends
  bsim test-server --cards 4 --until-eof           one card for each of four workers
  bsim test-server --state one-try-left --handset wrong --fault "on SIGN nth 2 answer 6985"

It prints one JSON line when it is ready: "http" is its address, "cards" their numbers. A test
takes a card (POST /v1/sessions with {"card": "1"}) or makes its own (POST /v1/cards).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--cards", metavar="N", type=int, default=1, help="how many cards there are (default: 1)")
    parser.add_argument("--port", metavar="PORT", type=int, default=0, help="on 127.0.0.1 (default: any that is free)")
    parser.add_argument(
        "--until-eof", action="store_true", help="end when standard input does: with the process that started this one"
    )
    parser.add_argument("--state", metavar="NAME", help="awkward cards, ready-made: locked, one-try-left, ...")
    parser.add_argument("--blank", action="store_true", help="cards without a seed")
    parser.add_argument("--profile", default="extended", help="strict or extended (default: extended)")
    parser.add_argument("--bpin", default=DEFAULT_BPIN, help="their BPIN (default: 123456)")
    parser.add_argument(
        "--handset", metavar="right|web|none|SCRIPT", default="right", help="who answers their dialogues; web: the API"
    )
    parser.add_argument(
        "--fault", metavar="RULE", action="append", default=[], help="misbehave: 'on SIGN nth 3 answer 6985'"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until standard input or a signal says that it is over."""
    from bsim.links.web import WebServer

    wanted = _wanted(args)
    try:
        server = WebServer(port=args.port)
    except ModuleNotFoundError as fault:
        raise UsageError(str(fault)) from fault
    except OSError as fault:
        raise UsageError(f"--port {args.port}: {fault}") from fault
    try:
        with stopped_by_signals(server):
            server.run(_begin(server, wanted, args))
    finally:
        server.close()
    return 0


def _wanted(args: argparse.Namespace) -> "Wanted":
    """The cards asked for; UsageError says why there can be none."""
    from bsim.lab.fault_rules import FaultError
    from bsim.lab.testbed import MANUAL, BenchCard, Wanted

    if args.cards < 1:
        raise UsageError("--cards is 1 or more")
    if not 0 <= args.port < 65_536:
        raise UsageError(f"--port {args.port}: a port is 0 to 65535")
    wanted = Wanted(
        blank=args.blank,
        bpin=args.bpin,
        profile=args.profile,
        state=args.state,
        handset=MANUAL if args.handset == "web" else args.handset,
        faults=tuple(args.fault),
    )
    try:
        BenchCard(wanted).close()
    except (ValueError, FaultError) as fault:
        raise UsageError(str(fault)) from fault
    return wanted


def _begin(server: "WebServer", wanted: "Wanted", args: argparse.Namespace) -> "Callable[[], None]":
    from bsim.links.web.bench import put

    numbers = [put(server, wanted, name=f"card of worker {worker}").number for worker in range(1, args.cards + 1)]

    def ready() -> None:
        if args.until_eof:
            threading.Thread(target=_wait_for_eof, args=(server,), name="bsim-eof", daemon=True).start()
        print_json({"ready": True, "http": server.url, "cards": numbers, "pid": os.getpid()})

    return ready


def _wait_for_eof(server: "WebServer") -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.stop()
