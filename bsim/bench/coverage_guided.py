"""The peer: atheris, guided by code coverage, over a decoder that makes commands of the declaration from its bytes.

Run as a program, since atheris never returns: fault, seed, and how many commands at most; prints how many it took.
"""

import os
import subprocess
import sys
from typing import Any

_LIMIT = 600.0
_COMMANDS = 24


def hunt(fault: str, seed: int, cap: int) -> int | None:
    """Answer how many commands it took to meet a fault; None where it was not met. ImportError without atheris."""
    import atheris  # noqa: F401, PLC0415 - to say at once that it is not there

    command = [sys.executable, "-m", "bsim.bench.coverage_guided", fault, str(seed), str(cap)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)  # noqa: S603 - our own
    lines = [line for line in done.stdout.splitlines() if line.startswith("met after ")]
    return int(lines[0].removeprefix("met after ")) if lines else None


def main() -> None:
    """Fuzz until the fault is met or the cap is reached."""
    import atheris  # noqa: PLC0415

    fault, seed, cap = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with atheris.instrument_imports(include=["bsim.applets", "bsim.card"]):
        from bsim.bench.planted import FAULTS  # noqa: PLC0415
        from bsim.fuzz import cards  # noqa: PLC0415
        from bsim.fuzz.emulated_rig import EmulatedRig  # noqa: PLC0415
        from bsim.fuzz.grammar import grammar  # noqa: PLC0415
        from bsim.fuzz.oracles.crash import CrashLog  # noqa: PLC0415

    declared = grammar()
    rig = EmulatedRig(declared, "operational")
    start = rig.snapshot()

    def one(data: bytes) -> None:
        start.restore()
        for step in decode(declared, data):
            rig.do(step)
            if rig.sw == 0x6F00:
                print(f"met after {rig.steps}", flush=True)
                os._exit(0)
            if rig.steps >= cap:
                os._exit(0)

    with FAULTS[fault].plant(), cards.quick_backups(), CrashLog():
        atheris.Setup([sys.argv[0], f"-seed={seed}", "-max_len=120"], one)
        atheris.Fuzz()


def decode(declared: Any, data: bytes) -> Any:
    """Make commands of bytes: each byte chooses among what the declaration allows at that place."""
    from bsim.applets.proactive import Result, TerminalResponse  # noqa: PLC0415
    from bsim.fuzz.cards import BPIN  # noqa: PLC0415
    from bsim.fuzz.steps import ANSWERS, send  # noqa: PLC0415

    at = 0

    def choose(count: int) -> int:
        nonlocal at
        at += 1
        return data[at - 1] % count if at <= len(data) else 0

    for _ in range(_COMMANDS):
        if at >= len(data):
            return
        entry = declared.entries[choose(len(declared.entries))]
        command = entry.command
        p1, p2 = command.p1.legal[choose(len(command.p1.legal))], command.p2.legal[choose(len(command.p2.legal))]
        head = bytes((command.cla[0], command.ins, p1, p2))
        if entry.name == "TERMINAL_RESPONSE":
            text = (BPIN, "000000", None)[choose(3)]
            body = TerminalResponse(1, 0x23, 4, Result.PERFORMED, text).encode()
            yield send(head + bytes((len(body),)) + body, ANSWERS)
        elif entry.name == "SELECT":
            aids = list(declared.aids)
            aid = aids[choose(len(aids))]
            yield send(head + bytes((len(aid),)) + aid)
        elif command.data and not entry.tlv:
            body = b"".join(domain.legal[choose(len(domain.legal))] for domain in entry.domains)[:255]
            yield send(head + (bytes((len(body),)) + body if body else b""))
        else:
            yield send(head + b"\0")


if __name__ == "__main__":
    main()
