"""The pytest plugin: cards, wallets, phones, a web server and a PC/SC reader as fixtures. docs/pytest.md.

Every pytest run where bsim is installed imports this module: it imports nothing of bsim until a fixture is used.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from bsim.client import Wallet
    from bsim.lab.tape import Tape
    from bsim.lab.testbed import BenchCard, BenchPhone, Wanted
    from bsim.links.pcscd import PrivatePcscd
    from bsim.links.slot import Inserted
    from bsim.links.web.bench import BenchServer

MARKER: Final = (
    "bsim(state=None, handset='right', fault=(), fault_seed=0, profile='extended', bpin='123456', new_bpin=None,"
    " mnemonic=None, blank=False, iccid=...): the card that bsim's fixtures make for this test; docs/pytest.md"
)
_TAPE: Final = pytest.StashKey["Tape"]()
_TITLE: Final = "bsim: what went between the test and its card"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the trace to the report of a test that failed."""
    report = yield
    tape = item.stash.get(_TAPE, None)
    if tape is not None and report.failed and (lines := tape.lines()):
        report.sections.append((_TITLE, "\n".join(lines)))
    return report


@pytest.fixture
def bsim_card(request: pytest.FixtureRequest) -> "Iterator[BenchCard]":
    """A card in memory, seeded and in a phone, as the marker `bsim` wants it. The same keys in every run."""
    from bsim.lab.fault_rules import FaultError
    from bsim.lab.testbed import BenchCard

    try:
        card = BenchCard(_wanted(request), _tape(request))
    except (ValueError, FaultError) as fault:
        _wrong(fault)
    yield card
    card.close()


@pytest.fixture
def bsim_wallet(bsim_card: "BenchCard") -> "Wallet":
    """The typed client on `bsim_card`, the wallet applet selected."""
    from bsim.client import Wallet

    return Wallet(bsim_card)


@pytest.fixture
def bsim_handset(bsim_card: "BenchCard") -> "BenchPhone":
    """The phone `bsim_card` is in: what it shows, and what its user does."""
    if bsim_card.phone is None:
        pytest.fail("bsim_handset: the marker says handset='none', and without a phone there is no handset", False)
    return bsim_card.phone


@pytest.fixture
def bsim_server(request: pytest.FixtureRequest) -> "Iterator[BenchServer]":
    """A web server of the test's own with one card in it, as the marker wants it. Needs bsim[web]."""
    pytest.importorskip("h11", reason="bsim_server needs bsim[web]: pip install 'bsim[web]'")
    from bsim.lab.fault_rules import FaultError
    from bsim.links.web.bench import BenchServer

    with ExitStack() as stack:
        try:
            server = stack.enter_context(BenchServer(_wanted(request), _tape(request)))
        except (ValueError, FaultError) as fault:
            _wrong(fault)
        yield server


@pytest.fixture(scope="session")
def bsim_pcscd() -> "Iterator[PrivatePcscd]":
    """A pcscd of this test run's own, with two empty slots; skips where the system cannot have one."""
    pytest.importorskip("smartcard", reason="bsim_reader needs pyscard: pip install 'bsim[pcsc]'")
    from bsim.links.pcscd import PcscUnavailable, PrivatePcscd

    with ExitStack() as stack:
        try:
            private = stack.enter_context(PrivatePcscd())
        except PcscUnavailable as fault:
            pytest.skip(f"bsim_reader: {fault}")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in private.environment.items():
            patch.setenv(name, value)
        yield private


@pytest.fixture
def bsim_reader(bsim_pcscd: "PrivatePcscd", bsim_card: "BenchCard") -> "Iterator[Inserted]":
    """`bsim_card` in a real PC/SC reader: pcscd and the vpcd driver, and a pyscard connection to it (T=0)."""
    from bsim.card import T0
    from bsim.links.slot import inserted

    with inserted(T0(bsim_card), bsim_pcscd) as there:
        yield there


def _wanted(request: pytest.FixtureRequest) -> "Wanted":
    """What the markers say, the nearest first."""
    from bsim.lab.testbed import Wanted

    options: dict[str, object] = {}
    for marker in request.node.iter_markers("bsim"):
        if marker.args:
            raise ValueError("its options have names, as in state='locked'")
        options = marker.kwargs | options
    return Wanted.of(options)


def _tape(request: pytest.FixtureRequest) -> "Tape":
    """The test's tape: one for all its fixtures."""
    from bsim.lab.tape import Tape

    stash = request.node.stash
    if _TAPE not in stash:
        stash[_TAPE] = Tape()
    tape: Tape = stash[_TAPE]
    return tape


def _wrong(fault: Exception) -> NoReturn:
    raise pytest.fail.Exception(f"marker bsim: {fault}", False) from None  # the fault is told whole by its words
