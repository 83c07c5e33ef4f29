"""Other libraries that do the same work, found or installed, each in a process of its own that works on request."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsim.bench.cards import DIGESTS, MNEMONIC, PATH
from bsim.bench.runner import BenchError, Contestant, Home, Plan
from bsim.crypto import mnemonic, verify
from bsim.crypto.derive import Bip32
from bsim.crypto.ecdsa import engine
from bsim.crypto.keccak import keccak256

_WORKER: Final = Path(__file__).with_name("peer_worker.py")
_NODE_WORKER: Final = _WORKER.with_suffix(".mjs")
# With what makes them fastest: eth-account signs with coincurve where that is there, ecdsa multiplies with gmpy2.
_PACKAGES: Final = ("eth-account", "coincurve", "wallycore", "ecdsa", "gmpy2", "cryptography", "python-pkcs11")


@dataclass(frozen=True, slots=True)
class Job:
    """What a peer does, and what it is checked by: its first answer, in hex."""

    name: str
    check: Callable[[str], bool]
    node: bool = False
    program: str | None = None


def _signed(answer: str) -> bool:
    """A signature r | s of the first digest, or of one that the peer names after it."""
    signature, _, digest = answer.partition(" ")
    der = verify.encode_der(int(signature[:64], 16), int(signature[64:], 16))
    return verify.verify(engine().public_key(SECRET), bytes.fromhex(digest) or DIGESTS[0], der)


SEED: Final = mnemonic.seed(MNEMONIC)
SECRET: Final = bytes(Bip32(engine()).derive(SEED, PATH).secret)

SIGN: Final = {
    "eth-account, hash": Job("eth-account-hash", _signed),
    "eth-account, transaction": Job("eth-account-transaction", _signed),
    "wallycore": Job("wallycore", _signed),
    "ecdsa": Job("ecdsa", _signed),
    "cryptography": Job("cryptography", _signed),
    "SoftHSM2": Job("softhsm2", _signed, program="softhsm2-util"),
    "ethers": Job("ethers", _signed, node=True, program="node"),
}
DERIVE: Final = {
    "five BIP-32 steps, wallycore": Job("wallycore-derive", lambda answer: answer == SECRET.hex()),
    "five BIP-32 steps, eth-account": Job("eth-account-derive", lambda answer: answer == SECRET.hex()),
}
KECCAK: Final = {
    "pycryptodome": Job("pycryptodome-keccak", lambda answer: answer == keccak256(DIGESTS[0]).hex()),
    "eth-hash": Job("eth-hash-keccak", lambda answer: answer == keccak256(DIGESTS[0]).hex()),
}


def install(folder: Path | None = None) -> Home:
    """Make an environment for the peers, or find the one made before; BenchError if Python cannot make one."""
    folder = folder or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "bsim", "bench-peers")
    python = folder / "venv" / "bin" / "python"
    missing: dict[str, str] = {}
    done = folder / "complete"
    if done.exists():
        return Home(python, folder)
    if not python.exists() and (fault := _run(sys.executable, "-m", "venv", str(folder / "venv"))):
        raise BenchError(f"no environment for the peers could be made in {folder}: {fault}")
    for package in _PACKAGES:
        # One by one: where one cannot be had, the others can.
        if fault := _run(str(python), "-m", "pip", "install", "--quiet", package):
            missing[package] = fault
    if not (folder / "node_modules" / "ethers").exists():
        fault = _run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "ethers")
        missing |= {"ethers": fault} if fault else {}
    if not shutil.which("softhsm2-util") and os.geteuid() == 0 and shutil.which("apt-get"):
        fault = _run("apt-get", "install", "--yes", "--no-install-recommends", "softhsm2")
        missing |= {"softhsm2": fault} if fault else {}
    if not missing:
        done.touch()
    return Home(python, folder, missing)


def _run(*words: str) -> str:
    """Run a program; answers the last line of what it complained of where it failed."""
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)  # noqa: S603 - ours
    except FileNotFoundError:
        return f"{words[0]} is not installed"
    except subprocess.CalledProcessError as fault:
        complaint: list[str] = fault.stderr.strip().splitlines()
        return complaint[-1] if complaint else f"exit code {fault.returncode}"
    return ""


class Worker:
    """A peer's process; a contestant once it is calibrated. BenchError if it cannot do its work, or does it wrong."""

    def __init__(self, job: Job, home: Home) -> None:
        self._job: Final = job
        command = _command(job, home)
        self._process: Final = subprocess.Popen(  # noqa: S603 - ours
            [*command, job.name, SECRET.hex(), SEED.hex(), PATH],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.version = ""

    def start(self, plan: Plan) -> Contestant:
        """Check its first answer, warm it up, and answer the contestant."""
        greeting = json.loads(self._line())
        self.version = greeting["version"]
        if not self._job.check(greeting["answer"]):
            raise BenchError("its answer is wrong")
        # V8 compiles what runs often: a peer is measured once it is as fast as it gets.
        warm = [self._run(count) for count in (1, 8, *([200] * 6 if self._job.node else ()))]
        count = max(1, round(plan.seconds * 1e6 / min(warm)))
        return lambda: self._run(count)

    def ask(self, count: int) -> None:
        """Have it do its work so many times."""
        if self._process.stdin is None:
            raise BenchError("it has no input")
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()

    def answer(self) -> float:
        """Wait for what was asked for; answers the microseconds one took."""
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _run(self, count: int) -> float:
        self.ask(count)
        return self.answer()

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            _, complaint = self._process.communicate()
            raise BenchError((complaint.strip().splitlines() or ["it ended without a word"])[-1])
        return line


def _command(job: Job, home: Home) -> list[str]:
    if job.program and not shutil.which(job.program):
        raise BenchError(home.missing.get(job.name, f"{job.program} is not installed"))
    if not job.node:
        return [str(home.python), "-I", str(_WORKER)]
    if home.node is None or not (home.node / "node_modules").exists():
        raise BenchError(home.missing.get(job.name, "not looked for; --peers installs it"))
    return ["node", str(_NODE_WORKER), str(home.node)]


@contextmanager
def at_work(jobs: Mapping[str, Job], plan: Plan, missing: dict[str, str]) -> Iterator[dict[str, Contestant]]:
    """Start the peers that can be had, by name and version, and note in `missing` why the others cannot."""
    contestants: dict[str, Contestant] = {}
    with ExitStack() as stack:
        for name, job in jobs.items():
            try:
                worker = Worker(job, plan.home)
                stack.callback(worker.close)
                contestants[name] = worker.start(plan)
            except BenchError as fault:
                missing[name] = str(fault)
        yield contestants
