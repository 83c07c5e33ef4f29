"""A private pcscd with the vpcd driver: real PC/SC for tests, demo and benchmarks, seen by nobody else.

It runs in a mount namespace of its own, where a private directory is /run: pcscd's compiled-in /run/pcscd
then belongs to this instance alone, and clients reach its socket through PCSCLITE_CSOCK_NAME (pcsc-lite's
winscard_clnt.c). The preloaded `vpcd_loopback.c` keeps the driver's ports on loopback and ends pcscd when the
process that started it ends.

libpcsclite reads PCSCLITE_CSOCK_NAME once in the life of a process, at its first SCardEstablishContext. So
a process can use one private pcscd through an in-process client such as pyscard, and must put `environment`
into `os.environ` before that first call; clients in child processes are free of this.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

READER_NAME: Final = "BSIM virtual reader"

_SHIM: Final = Path(__file__).with_name("vpcd_loopback.c")
_PORT_TAKEN: Final = 98  # as in vpcd_loopback.c
# Below the usual ephemeral range (32768-60999, ip(7)): no outgoing connection can sit on a port of ours.
_PORTS: Final = range(16384, 32766, 2)
_NEEDS: Final = "it needs root, or a kernel that lets users make user and mount namespaces: unshare(1)"
_LISTEN: Final = "0A"  # TCP_LISTEN
_START_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 5.0
_SUN_PATH: Final = 107  # unix(7): 108 bytes with the closing NUL

# The directories pcscd takes its drivers from (its usbdropdir) on Debian, Fedora and after a build by hand.
_DRIVERS: Final = tuple(map(Path, ("/usr/lib/pcsc/drivers", "/usr/lib64/pcsc/drivers", "/usr/local/lib/pcsc/drivers")))
_VPCD: Final = "serial/libifdvpcd.so"

# In the namespace the private directory is /run. Hiding the USB drivers leaves the machine's own readers to
# the machine's own pcscd.
_ENTER: Final = """
mount --bind "$1" /run
mount -t tmpfs none "$2"
shift 2
exec env LD_PRELOAD=/run/vpcd_loopback.so "$@"
"""


class PcscUnavailable(Exception):  # noqa: N818 - a state of the machine, told to people, rather than an error of ours
    """This machine cannot run a private pcscd; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs a private pcscd is made of."""

    pcscd: str
    unshare: str
    compiler: str
    drivers: Path

    @classmethod
    def find(cls) -> Self:
        """Find them all, or say which are missing and what installs them."""
        # Administrators' directories count, though they may not be on a user's PATH.
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
        pcscd, unshare = shutil.which("pcscd", path=path), shutil.which("unshare", path=path)
        compiler = shutil.which(os.environ.get("CC", "cc"), path=path) or shutil.which("gcc", path=path)
        drivers = next((directory for directory in _DRIVERS if (directory / _VPCD).exists()), None)
        if pcscd and unshare and compiler and drivers:
            return cls(pcscd, unshare, compiler, drivers)
        there = {"pcscd": pcscd, "vsmartcard-vpcd": drivers, "gcc": compiler, "util-linux": unshare}
        lacking = " ".join(package for package, found in there.items() if not found)
        raise PcscUnavailable(f"missing: {lacking}; run tools/setup-system, or: apt-get install {lacking}")


class PrivatePcscd:
    """One pcscd with two empty vpcd slots on loopback ports of its own; a context manager.

    `stop` and `start` in between take it away and bring it back with the same ports and the same socket.
    """

    def __init__(self) -> None:
        self._tools = Tools.find()
        self._ports: tuple[int, int] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ports(self) -> tuple[int, int]:
        """The TCP ports on 127.0.0.1 where the cards of slot 0 and slot 1 connect."""
        if self._ports is None:
            raise RuntimeError("a private pcscd has ports once it has run")
        return self._ports

    @property
    def readers(self) -> tuple[str, str]:
        """The slots' names as PC/SC clients see them (pcsc-lite's readerfactory.c: name, reader, slot)."""
        return f"{READER_NAME} 00 00", f"{READER_NAME} 00 01"

    @property
    def environment(self) -> dict[str, str]:
        """What a client's environment needs to reach this pcscd."""
        return {"PCSCLITE_CSOCK_NAME": str(self._socket)}

    @property
    def pid(self) -> int:
        """The process id of the running pcscd."""
        return self._running.pid

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="bsim-pcscd-")
        try:
            _furnish(self._root, self._tools)
            self.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def start(self) -> None:
        """Run pcscd and wait until it answers."""
        # The ports stay the same from one start to the next: the cards know them.
        for ports in [self._ports] if self._ports else [(port, port + 1) for port in random.sample(_PORTS, 16)]:
            self._process = _spawn(self._root, self._tools, ports)
            try:
                if self._wait():
                    _check_loopback(ports)
                    self._ports = ports
                    return
            except BaseException:
                self.stop()
                raise
            self.stop()
        raise PcscUnavailable("no free pair of ports for vpcd on 127.0.0.1")

    def stop(self) -> None:
        """End pcscd, whatever state it is in."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes the pipe and reaps
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:  # it waits for a card that does not answer
                process.kill()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this private pcscd does not run")
        return self._process

    @property
    def _root(self) -> Path:
        if self._directory is None:
            raise RuntimeError("a private pcscd is used as a context manager")
        return Path(self._directory.name)

    @property
    def _socket(self) -> Path:
        return _socket(self._root)

    def _leave(self) -> None:
        self.stop()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def _wait(self) -> bool:
        """Wait until pcscd takes clients: its readers are up by then (pcscdaemon.c). False: port taken."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            status = self._running.poll()
            if status == _PORT_TAKEN:
                return False
            if status is not None:
                raise PcscUnavailable(f"pcscd ended with status {status}; {_NEEDS}\n{self._said()}")
            with socket.socket(socket.AF_UNIX) as client:
                if client.connect_ex(str(self._socket)) == 0:
                    return True
            time.sleep(0.005)
        raise PcscUnavailable(f"pcscd did not answer within {_START_SECONDS:.0f} s\n{self._said()}")

    def _said(self) -> str:
        return (self._root / "log").read_text(errors="replace").strip()


def _socket(root: Path) -> Path:
    return root / "pcscd" / "pcscd.comm"


def _furnish(root: Path, tools: Tools) -> None:
    """Put what pcscd needs into the directory that becomes its /run."""
    if len(os.fsencode(_socket(root))) > _SUN_PATH:
        raise PcscUnavailable(f"{_socket(root)} is too long for a socket's name; set TMPDIR to a shorter directory")
    shutil.copy(tools.drivers / _VPCD, root / "libifdvpcd.so")
    (root / "readers").mkdir()
    shim = str(root / "vpcd_loopback.so")
    built = subprocess.run(  # noqa: S603 - the user's own compiler on our own source
        [tools.compiler, "-shared", "-fPIC", "-O1", "-o", shim, str(_SHIM), "-ldl", "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise PcscUnavailable(f"cannot build {_SHIM.name}; apt-get install gcc libc6-dev\n{built.stderr.strip()}")


def _spawn(root: Path, tools: Tools, ports: tuple[int, int]) -> subprocess.Popen[bytes]:
    """Start pcscd in its namespace with one vpcd reader (reader.conf(5)): slots on a port and the next."""
    shutil.rmtree(root / "pcscd", ignore_errors=True)  # a killed pcscd leaves its socket and pid there
    port = f"0x{ports[0]:04X}"
    (root / "readers" / "vpcd").write_text(
        f'FRIENDLYNAME "{READER_NAME}"\nDEVICENAME /dev/null:{port}\nLIBPATH /run/libifdvpcd.so\nCHANNELID {port}\n'
    )
    namespace = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    enter = ["sh", "-euc", _ENTER, "sh", str(root), str(tools.drivers)]
    pcscd = [tools.pcscd, "--foreground", "--config", "/run/readers"]
    with (root / "log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - every argument is ours
            [tools.unshare, *namespace, *enter, *pcscd],
            stdin=subprocess.PIPE,  # nobody writes to it; its end is how pcscd ends with us: vpcd_loopback.c
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _check_loopback(ports: tuple[int, int]) -> None:
    """Refuse to go on when the shim did not take: the network must not reach a card (proc(5), net/tcp)."""
    loopback = int.from_bytes(socket.inet_aton("127.0.0.1"), sys.byteorder)
    expected = {f"{loopback:08X}:{port:04X}" for port in ports}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == _LISTEN and int(row[1].partition(":")[2], 16) in ports}
    if listening != expected:
        raise PcscUnavailable(f"vpcd does not listen on loopback alone but on {sorted(listening)}")
