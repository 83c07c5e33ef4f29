"""The parsers, fuzzed by code coverage with atheris: bytes in, a value or a refusal out, and nothing else ever.

atheris never returns, so it is run as a program of its own: `python -m bsim.fuzz.parsers SEED SECONDS`.
"""

import base64
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MARK: Final = "broke: "
_GRACE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Broken:
    """A parser, what it raised that is no refusal, and the bytes that led there."""

    parser: str
    what: str
    data: bytes


def targets() -> dict[str, Callable[[bytes], object]]:
    """Answer the parsers by name; each may refuse with ValueError or SwError."""
    from bsim import tlv  # noqa: PLC0415 - after atheris has looked at them
    from bsim.apdu import CommandApdu, ResponseApdu  # noqa: PLC0415
    from bsim.applets.proactive import ProactiveCommand, TerminalResponse, decode_text  # noqa: PLC0415
    from bsim.chains import rlp  # noqa: PLC0415
    from bsim.crypto.verify import parse_der  # noqa: PLC0415

    return {
        "tlv.parse": tlv.parse,
        "tlv.parse_simple": tlv.parse_simple,
        "tlv.parse_comprehension": lambda data: list(tlv.parse_comprehension(data)),
        "CommandApdu.parse": CommandApdu.parse,
        "ResponseApdu.parse": ResponseApdu.parse,
        "ProactiveCommand.parse": ProactiveCommand.parse,
        "TerminalResponse.parse": TerminalResponse.parse,
        "decode_text": decode_text,
        "parse_der": parse_der,
        "rlp.decode": rlp.decode,
    }


def fuzz(seed: int, seconds: float) -> list[Broken]:
    """Fuzz all parsers for so long; answers what broke, at most one. ImportError where there is no atheris."""
    import atheris  # noqa: F401, PLC0415 - to say at once that it is not there

    command = [sys.executable, "-m", "bsim.fuzz.parsers", str(seed), str(max(int(seconds), 1))]
    done = subprocess.run(  # noqa: S603 - our own
        command, capture_output=True, text=True, timeout=seconds + _GRACE, check=False
    )
    lines = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not lines and done.returncode:
        raise RuntimeError(f"atheris ended with {done.returncode}: {done.stderr[-300:]}")
    return [Broken(name, what, base64.b64decode(data)) for name, what, data in (line.split("|") for line in lines)]


def try_one(parsers: dict[str, Callable[[bytes], object]], data: bytes) -> Broken | None:
    """Give bytes to the parser that the first of them chooses; answers what it broke."""
    from bsim.sw import SwError  # noqa: PLC0415

    if not data:
        return None
    name = list(parsers)[data[0] % len(parsers)]
    try:
        parsers[name](data[1:])
    except (ValueError, SwError):
        return None
    except Exception as fault:  # noqa: BLE001 - anything else is what is looked for
        return Broken(name, f"{type(fault).__name__}: {fault}".replace("|", "/"), data[1:])
    return None


def main() -> None:
    """Fuzz until the time is over, or something breaks, which is printed."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=["bsim.tlv", "bsim.apdu", "bsim.applets.proactive", "bsim.chains.rlp"]):
        parsers = targets()

    def one(data: bytes) -> None:
        broken = try_one(parsers, data)
        if broken is not None:
            print(f"{_MARK}{broken.parser}|{broken.what}|{base64.b64encode(broken.data).decode()}", flush=True)
            raise SystemExit(1)

    atheris.Setup([sys.argv[0], f"-seed={sys.argv[1]}", f"-max_total_time={sys.argv[2]}", "-max_len=600"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
