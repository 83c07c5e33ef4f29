"""Benchmarks: interleaved rounds in one run, medians, and ratios to a floor - times vary, the ratios hold.

A bench is a function from a number of rounds to a `Result`, entered in `BENCHES`.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Final

from bsim import new_card
from bsim.card import T0
from bsim.links.pcscd import PcscUnavailable, PrivatePcscd
from bsim.links.vpcd import Order, VpcdLink


@dataclass
class Target:
    """A ratio and what it has to be."""

    name: str
    ratio: float
    target: str
    met: bool


@dataclass
class Result:
    """What a bench found: the median time of each contestant, and the targets."""

    bench: str
    unit: str
    rounds: int
    medians: dict[str, float]
    targets: list[Target] = field(default_factory=list)


Samples = dict[str, list[float]]


def ratio(samples: Samples, over: str, under: str) -> float:
    """The median of the rounds' ratios: what slows a whole round down cancels out."""
    return statistics.median(a / b for a, b in zip(samples[over], samples[under], strict=True))


def interleave(contestants: dict[str, Callable[[], float]], rounds: int) -> Samples:
    """Run each contestant once a round, every other round in the opposite order."""
    samples: Samples = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            samples[name].append(contestants[name]())
    return samples


# pcsc: a round trip through pcscd and vpcd, as a PC/SC client sees it.

SELECT: Final = bytes.fromhex("00A4040010A000000533C000FF860000000000054D")
GET_VERSION: Final = bytes.fromhex("00CA000002")
ANSWER: Final = bytes.fromhex("00519000")  # two bytes of version and the status word, from all three cards
ATR: Final = bytes.fromhex("3B00")


def serve_ours(port: int) -> None:
    VpcdLink(T0(new_card()), port=port).run()


def serve_echo(port: int) -> None:
    """The floor: the least a card can do that knows about delayed acknowledgements."""
    with socket.create_connection(("127.0.0.1", port)) as driver:
        driver.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            driver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            if not (length := driver.recv(2)):
                return
            driver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            message = driver.recv(int.from_bytes(length, "big"))
            if reply := _reply(message):
                driver.sendall(reply)


def serve_naive(port: int) -> None:
    """What vsmartcard's vicc does: no socket options, length and body in two sends (VirtualSmartcard.py)."""
    with socket.create_connection(("127.0.0.1", port)) as driver:
        while True:
            message = driver.recv(int.from_bytes(driver.recv(2), "big"))
            if reply := _reply(message):
                driver.sendall(reply[:2])
                driver.sendall(reply[2:])


def _reply(message: bytes) -> bytes:
    if len(message) > 1:
        return len(ANSWER).to_bytes(2, "big") + ANSWER
    if message == bytes((Order.ATR,)):
        return len(ATR).to_bytes(2, "big") + ATR
    return b""


CARDS: Final[dict[str, Callable[[int], None]]] = {
    "echo": serve_echo,
    "ours": serve_ours,
    "naive": serve_naive,
}
# The naive card takes 44 ms an exchange; fewer of them settle as well.
EXCHANGES: Final = {"echo": 1000, "ours": 1000, "naive": 12}


class Client:
    """A PC/SC client on pyscard's thinnest layer, SCardTransmit itself."""

    def __init__(self, reader: str) -> None:
        from smartcard import scard

        self._scard = scard
        self._reader = reader
        status, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        self._check(status)

    def close(self) -> None:
        self._check(self._scard.SCardReleaseContext(self._context))

    def wait(self, *, present: bool) -> None:
        """Wait until the slot has, or has no, card."""
        wanted = self._scard.SCARD_STATE_PRESENT if present else self._scard.SCARD_STATE_EMPTY
        state = self._scard.SCARD_STATE_UNAWARE
        while not state & wanted:
            status, states = self._scard.SCardGetStatusChange(self._context, 10_000, [(self._reader, state)])
            self._check(status)
            state = states[0][1]

    def exchange(self, count: int) -> float:
        """The median time of `count` exchanges in microseconds."""
        scard, times = self._scard, []
        status, card, _ = scard.SCardConnect(
            self._context, self._reader, scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T0
        )
        self._check(status)
        scard.SCardTransmit(card, scard.SCARD_PCI_T0, list(SELECT))
        command, transmit, t0, now = (
            list(GET_VERSION),
            scard.SCardTransmit,
            scard.SCARD_PCI_T0,
            time.perf_counter_ns,
        )
        for _ in range(count):
            begin = now()
            status, answer = transmit(card, t0, command)
            times.append((now() - begin) / 1000)
        self._check(status)
        if len(answer) != len(ANSWER):
            raise SystemExit(f"the card answers {bytes(answer).hex()}: not as long as the echo card's {ANSWER.hex()}")
        self._check(scard.SCardDisconnect(card, scard.SCARD_UNPOWER_CARD))
        return statistics.median(times)

    def _check(self, status: int) -> None:
        if status != self._scard.SCARD_S_SUCCESS:
            raise SystemExit(self._scard.SCardGetErrorMessage(status))


@contextmanager
def inserted(card: str, port: int, client: Client) -> Iterator[None]:
    """A card in the slot, in a process of its own."""
    with subprocess.Popen([sys.executable, __file__, "--card", card, "--port", str(port)]) as process:
        try:
            client.wait(present=True)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
    client.wait(present=False)


def pcsc(rounds: int) -> Result:
    """A round trip through the real pcscd and vpcd: our card, an echo card (the floor) and a naive one."""
    # One core for client, pcscd and card: where the scheduler happens to put them makes a factor of three.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with PrivatePcscd() as pcscd:
        os.environ.update(pcscd.environment)
        client = Client(pcscd.readers[0])

        def measure(card: str) -> float:
            with inserted(card, pcscd.ports[0], client):
                return client.exchange(EXCHANGES[card])

        samples = interleave({card: (lambda card=card: measure(card)) for card in CARDS}, rounds)
        client.close()
    to_floor, to_naive = ratio(samples, "ours", "echo"), ratio(samples, "naive", "ours")
    return Result(
        "pcsc",
        "us a round trip",
        rounds,
        {card: statistics.median(times) for card, times in samples.items()},
        [
            Target("ours / echo", to_floor, "<= 1.3", to_floor <= 1.3),
            Target("naive / ours", to_naive, ">= 100", to_naive >= 100),
        ],
    )


BENCHES: Final[dict[str, Callable[[int], Result]]] = {"pcsc": pcsc}


def table(result: Result) -> str:
    """A result for people."""
    lines = [f"{result.bench}: {result.unit}, median of {result.rounds} rounds"]
    lines += [f"  {name:<14}{median:>12.1f}" for name, median in result.medians.items()]
    for target in result.targets:
        met = "met" if target.met else "MISSED"
        lines.append(f"  {target.name:<14}{target.ratio:>12.2f}   target {target.target}: {met}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Benchmarks, against floors and peers in the same run."
    )
    parser.add_argument("bench", nargs="?", choices=sorted(BENCHES), help="which (default: all)")
    parser.add_argument("--rounds", type=int, default=11, help="interleaved rounds (default: 11)")
    parser.add_argument("--json", action="store_true", help="one JSON object a bench")
    parser.add_argument("--card", choices=sorted(CARDS), help=argparse.SUPPRESS)  # a child process of `pcsc`
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.card:
        CARDS[options.card](options.port)
        return 0
    try:
        for bench in [options.bench] if options.bench else BENCHES:
            result = BENCHES[bench](options.rounds)
            print(json.dumps(asdict(result)) if options.json else table(result), flush=True)
    except (PcscUnavailable, ImportError) as error:
        print(f"tools/bench: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
