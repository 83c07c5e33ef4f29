"""The real PC/SC stack for tests: a private pcscd, and cards put into its slots.

    def test_something(insert):
        inserted = insert(card)                       # slot 0; insert(other, slot=1) for a second card
        data, sw1, sw2 = inserted.connection.transmit([0x00, 0xCA, 0x00, 0x00, 0x02])

`insert` puts any `Card` behind a `VpcdLink`, waits until pcscd sees it and connects pyscard to it in T=0. What it put
in is out again when the test is over. A card with 61xx to give is wrapped in the T=0 layer by the test.

libpcsclite reads its socket's name once a process, so all in-process pyscard of a test run shares the one `pcscd`. A
test that needs a pcscd to itself starts a `PrivatePcscd` and its client in a child process, with `environment`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from bsim.links.pcscd import PcscUnavailable, PrivatePcscd
from bsim.links.vpcd import VpcdLink
from bsim.ports import Card

if TYPE_CHECKING:
    from smartcard.CardConnection import CardConnection


def _without(reason: str) -> None:
    """PC/SC is not there: a failure in CI, a skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def pcscd() -> Iterator[PrivatePcscd]:
    """The private pcscd that in-process pyscard talks to."""
    try:
        from smartcard import scard  # noqa: F401
    except ImportError as error:
        _without(f'pyscard is not there: {error}; pip install "bsim[pcsc]"')
    with ExitStack() as stack:
        try:
            private = stack.enter_context(PrivatePcscd())
        except PcscUnavailable as error:
            _without(str(error))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("PCSCLITE_CSOCK_NAME", private.environment["PCSCLITE_CSOCK_NAME"])
        yield private


class Slot:
    """One slot of the private pcscd, watched through a PC/SC context of its own."""

    def __init__(self, reader: str) -> None:
        from smartcard import scard

        self.reader = reader
        self._scard = scard
        status, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        assert status == scard.SCARD_S_SUCCESS, scard.SCardGetErrorMessage(status)

    def close(self) -> None:
        self._scard.SCardReleaseContext(self._context)

    def wait(self, *, present: bool) -> None:
        """Wait until pcscd sees that a card is in the slot, or out of it."""
        wanted = self._scard.SCARD_STATE_PRESENT if present else self._scard.SCARD_STATE_EMPTY
        state = self._scard.SCARD_STATE_UNAWARE
        while not state & wanted:
            status, states = self._scard.SCardGetStatusChange(self._context, 30_000, [(self.reader, state)])
            assert status == self._scard.SCARD_S_SUCCESS, self._scard.SCardGetErrorMessage(status)
            state = states[0][1]


@dataclass
class Inserted:
    """A card in a slot: the link it hangs on and a PC/SC client's connection to it."""

    reader: str
    link: VpcdLink
    connection: "CardConnection"


Insert = Callable[..., Inserted]


@pytest.fixture
def insert(pcscd: PrivatePcscd) -> Iterator[Insert]:
    """A function `(card, *, slot=0) -> Inserted`."""
    from smartcard.CardConnection import CardConnection
    from smartcard.pcsc.PCSCReader import PCSCReader

    with ExitStack() as stack:

        def put(card: Card, *, slot: int = 0) -> Inserted:
            watched = Slot(pcscd.readers[slot])
            stack.callback(watched.close)
            stack.callback(watched.wait, present=False)
            link = stack.enter_context(VpcdLink(card, port=pcscd.ports[slot]))
            watched.wait(present=True)
            connection = PCSCReader(watched.reader).createConnection()
            stack.callback(connection.release)
            connection.connect(CardConnection.T0_protocol)
            return Inserted(watched.reader, link, connection)

        yield put
