"""A round trip through the real pcscd and vpcd, as a PC/SC client sees it: our card, an echo card and a naive one."""

import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter_ns
from typing import Final

from bsim.bench.cards import GET_VERSION_T0, SELECT
from bsim.bench.child import child
from bsim.bench.export import export
from bsim.bench.pcsc_cards import ANSWER, CARDS
from bsim.bench.runner import BenchError, Plan, Result, Row, interleave
from bsim.lab.reader import ReaderCard
from bsim.links.pcscd import PcscUnavailable, PrivatePcscd

EXCHANGES: Final = 1000
BRIDGE: Final = "bridge"  # our card again, through `bsim.lab.reader` instead of bare pyscard
# The naive card waits out delayed acknowledgements, 44 ms each; few exchanges settle as well.
NAIVE_EXCHANGES: Final = 12


class Client:
    """A PC/SC client on pyscard's thinnest layer, SCardTransmit itself."""

    def __init__(self, reader: str) -> None:
        from smartcard import scard  # noqa: PLC0415 - an extra

        self._scard: Final = scard
        self._reader: Final = reader
        status, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        self._check(status)

    def close(self) -> None:
        """Let go of pcscd."""
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
        command, transmit, t0, now = list(GET_VERSION_T0), scard.SCardTransmit, scard.SCARD_PCI_T0, perf_counter_ns
        for _ in range(count):
            begin = now()
            status, answer = transmit(card, t0, command)
            times.append((now() - begin) / 1000)
        self._check(status)
        if len(answer) != len(ANSWER):
            raise BenchError(f"the card answers {bytes(answer).hex()}: not as long as the echo card's {ANSWER.hex()}")
        self._check(scard.SCardDisconnect(card, scard.SCARD_UNPOWER_CARD))
        return statistics.median(times)

    def replay(self, commands: list[bytes]) -> float:
        """The time of all the commands one after the other in milliseconds."""
        scard = self._scard
        status, card, _ = scard.SCardConnect(
            self._context, self._reader, scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T0
        )
        self._check(status)
        lists, transmit, t0 = [list(command) for command in commands], scard.SCardTransmit, scard.SCARD_PCI_T0
        begin = perf_counter_ns()
        for command in lists:
            status, answer = transmit(card, t0, command)
            if answer[-2] not in {0x61, 0x90}:
                raise BenchError(f"{bytes(command).hex()} was answered with {bytes(answer).hex()}")
        took = (perf_counter_ns() - begin) / 1e6
        self._check(scard.SCardDisconnect(card, scard.SCARD_UNPOWER_CARD))
        return took

    def _check(self, status: int) -> None:
        if status != self._scard.SCARD_S_SUCCESS:
            raise BenchError(self._scard.SCardGetErrorMessage(status))


def bridged(reader: str, count: int) -> float:
    """The median time of `count` exchanges through the reader bridge in microseconds."""
    card, times, now = ReaderCard(reader), [], perf_counter_ns
    card.transmit(SELECT)
    for _ in range(count):
        begin = now()
        card.transmit(GET_VERSION_T0)
        times.append((now() - begin) / 1000)
    card.close()
    return statistics.median(times)


@contextmanager
def inserted(card: str, port: int, client: Client) -> Iterator[None]:
    """A card in the slot, in a process of its own."""
    with child("bsim.bench.pcsc_cards", card, str(port)):
        client.wait(present=True)
        yield
    client.wait(present=False)


def bench(plan: Plan, exchanges: int = EXCHANGES) -> Result:
    """GET VERSION through pcscd. BenchError where there is no pcscd, vpcd or pyscard."""
    result = Result("pcsc", "one command through pcscd and vpcd", "echo", plan.rounds)
    commands = export()[: exchanges * 5]
    counts = dict.fromkeys(CARDS, exchanges) | {"naive": min(exchanges, NAIVE_EXCHANGES)}
    try:
        with PrivatePcscd() as pcscd:
            os.environ.update(pcscd.environment)
            client = Client(pcscd.readers[0])

            def measure(card: str) -> float:
                if card == BRIDGE:
                    with inserted("ours", pcscd.ports[0], client):
                        return bridged(pcscd.readers[0], exchanges)
                with inserted(card, pcscd.ports[0], client):
                    return client.exchange(counts[card])

            # A slice is a card put in, used and taken out, and has its median already.
            turns = {card: (lambda card=card: measure(card)) for card in (*CARDS, BRIDGE)}
            samples = interleave(turns, replace(plan, slices=1))
            with inserted("ours", pcscd.ports[0], client):
                exports = [client.replay(commands) for _ in range(plan.rounds)]
            client.close()
    except (PcscUnavailable, ImportError) as fault:
        raise BenchError(str(fault)) from fault
    result.add(samples)
    result.rows.append(Row(f"{len(commands):,} TPDUs of full exports", statistics.median(exports), "ms"))
    result.at_most(samples, "ours", "echo", 1.3)
    result.at_most(samples, BRIDGE, "ours", 1.1)
    result.at_least(samples, "naive", "ours", 100)
    return result
