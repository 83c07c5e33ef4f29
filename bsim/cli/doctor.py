"""`bsim doctor`: what is installed, what is not, and the command that fixes it."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from glob import glob
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from bsim import __version__
from bsim.cli.common import Style, add_json, print_json

EXAMPLES = """\
examples:
  bsim doctor
  bsim doctor --json

Exit code 0 if cards work in this process; readers and links may be missing then.
"""
_SETUP = "sudo apt-get install pcscd vsmartcard-vpcd libpcsclite-dev gcc libc6-dev python3-dev"
_PIP = "pip install --force-reinstall . in the project's folder"
# Administrators' directories count, though they may not be on a user's PATH.
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
_DRIVERS = ("/usr/lib*/pcsc/drivers/serial/libifdvpcd.so", "/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so")
_GROUPS = (
    (True, False, "cards in this process"),
    (False, False, "cards elsewhere: readers, HTTP, Bluetooth"),
    (False, True, "cards in a modem"),
)
# Phone stacks that take the modem for theirs: what they are for, and the package.
_STACKS = (("ofonod", "oFono", "ofono"), ("ModemManager", "ModemManager", "modemmanager"))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `base` is what no card works without, `modem` what only cards in a modem need."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    base: bool = False
    modem: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Look at everything."""
    found = list(findings())
    healthy = all(finding.ok for finding in found if finding.base)
    if args.json:
        print_json({"ok": healthy, "findings": [asdict(finding) for finding in found]})
        return 0 if healthy else 1
    style = Style()
    for base, modem, title in _GROUPS:
        print(style.bold(title))
        for finding in found:
            if (finding.base, finding.modem) == (base, modem):
                mark = style.good("ok     ") if finding.ok else style.bad("missing")
                print(f"  {mark}  {finding.name:<16}{finding.detail}")
                if finding.fix and not finding.ok:
                    print(f"  {'':<9}{'':<16}fix: {finding.fix}")
    return 0 if healthy else 1


def findings() -> Iterator[Finding]:
    """Look at one thing after the other."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", sys.version_info >= (3, 11), python, "install Python 3.11 or later", base=True)
    yield Finding("bsim", True, __version__, base=True)
    yield _tried("declarations", _declarations)
    yield _tried("signing engine", _engine)
    yield _tried("Ed25519, AES", _ed25519)
    yield _tried("check", _independent)
    yield _tried("a whole card", _card)
    yield _pyscard()
    for name, program, package in (
        ("pcscd", "pcscd", "pcscd"),
        ("gcc", "cc", "gcc"),
        ("unshare", "unshare", "util-linux"),
    ):
        path = shutil.which(program, path=_PATH)
        yield Finding(name, path is not None, path or "not found", f"sudo apt-get install {package}")
    driver = next((path for pattern in _DRIVERS for path in glob(pattern)), None)
    yield Finding("vpcd driver", driver is not None, driver or "not found", "sudo apt-get install vsmartcard-vpcd")
    yield _service()
    yield _extra("HTTP", "h11", "web")
    yield _extra("Bluetooth LE", "bumble", "ble")
    yield _terminals()
    for program, name, package in _STACKS:
        path = shutil.which(program, path=_PATH)
        yield Finding(name, path is not None, path or "not found", f"sudo apt-get install {package}", modem=True)


def _terminals() -> Finding:
    """Whether there are pseudo-terminals, which `bsim serve --modem pty` needs."""
    fix = "mount devpts, or use bsim serve --modem tcp:0"
    try:
        ours, theirs = os.openpty()
    except OSError as fault:
        return Finding("terminals", False, str(fault), fix, modem=True)
    path = os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)
    return Finding("terminals", True, f"such as {path}", fix, modem=True)


def _tried(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check(), base=True)
    except Exception as fault:  # noqa: BLE001 - whatever is broken, a doctor tells
        return Finding(name, False, f"{type(fault).__name__}: {fault}", _PIP, base=True)


def _declarations() -> str:
    from bsim.spec import spec

    return f"{sum(len(applet.commands) for applet in spec().applets.values())} commands"


def _engine() -> str:
    from bsim.crypto import verify
    from bsim.profiles import default_engine

    engine, digest = default_engine(), bytes(range(32))
    signature = engine.signer(b"\1" * 32).sign(digest)
    if not verify.verify(engine.public_key(b"\1" * 32), digest, signature):
        raise RuntimeError("its signature does not verify")
    slower = engine.means == "cffi" and os.environ.get("BSIM_NATIVE") != "0"
    hint = "; faster if a C compiler is there when bsim is installed" if slower else ""
    return f"{engine.name} {_version(engine.name)} through {engine.means}, signs and verifies{hint}"


def _ed25519() -> str:
    from bsim.crypto import ed25519

    secret = b"\1" * 32
    if not ed25519.verify(ed25519.public_key(secret), b"doctor", ed25519.signer(secret).sign(b"doctor")):
        raise RuntimeError("its signature does not verify")
    return f"cryptography {_version('cryptography')}"


def _independent() -> str:
    return ", ".join(f"{package} {_version(package)}" for package in ("ecdsa", "mnemonic", "safe-pysha3"))


def _card() -> str:
    import bsim
    from bsim.client import Wallet

    wallet = Wallet(bsim.new_card(), wait=0)
    wallet.derive(60)
    wallet.verify_bpin()
    wallet.sign(60, 1, bytes(32))
    return f"version {wallet.version().hex()}, derives, verifies its BPIN and signs"


def _pyscard() -> Finding:
    from bsim.lab.pcsc import INSTALL

    fix = f"{_SETUP}; then {INSTALL}"
    try:
        from smartcard import scard
    except ImportError as fault:
        return Finding("pyscard", False, str(fault), fix)
    return Finding("pyscard", bool(scard), _version("pyscard"), fix)


def _extra(name: str, package: str, extra: str) -> Finding:
    found = find_spec(package) is not None
    detail = f"{package} {_version(package)}" if found else f"{package} is not installed"
    return Finding(name, found, detail, f"pip install 'bsim[{extra}]'")


def _service() -> Finding:
    from bsim.lab.reader import ReaderError, readers

    try:
        names = readers()
    except ReaderError as fault:
        return Finding(
            "running pcscd", False, str(fault), "sudo systemctl start pcscd, or sudo pcscd; the demo needs none"
        )
    return Finding("running pcscd", True, "; ".join(names) or "no reader connected")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
