"""The fuzzer against a card in a reader: simulated, behind pcscd, guarded as somebody's own, and pulled twice."""

import os
import threading
import time
from pathlib import Path

import pytest

from bsim.card import T0
from bsim.cli import main
from bsim.fuzz import cards
from bsim.fuzz.campaign import Options
from bsim.fuzz.card_run import CardCampaign, Place
from bsim.fuzz.policy import Policy
from bsim.fuzz.result import Exit, RunReport
from bsim.lab.reader import ReaderCard
from bsim.links.pcscd import PrivatePcscd
from bsim.links.vpcd import VpcdLink

pytestmark = pytest.mark.pcsc

BUDGET = 20_000
_APDUS = 100_000


class Inspected:
    """What the simulated card does, seen from inside: the lowest tries it ever had, and what it was sent."""

    def __init__(self) -> None:
        self.uicc, self.store = cards.make("operational")
        self.t0 = T0(self.uicc)
        self.lowest = 99
        self.entropy = self._wallet().entropy
        self.count = 0

    def _wallet(self):
        return next(state for state in self.uicc.states if hasattr(state, "bpin"))

    def reset(self) -> bytes:
        return self.t0.reset()

    def transmit(self, command: bytes) -> bytes:
        self.count += 1
        response = self.t0.transmit(command)
        self.lowest = min(self.lowest, self._wallet().tries)
        return response

    def check(self, report: RunReport) -> None:
        """What must hold after any guarded run."""
        wallet = self._wallet()
        assert report.safety is not None
        assert report.safety["irreversible"] == 0
        assert report.safety["writes"] <= BUDGET
        assert self.store.writes <= BUDGET
        assert self.lowest >= 2
        assert wallet.tries == 10
        assert wallet.entropy == self.entropy
        assert wallet.bpin == cards.BPIN.encode()


class Slot:
    """Puts the card in and out while the fuzzer runs."""

    def __init__(self, card: Inspected, port: int, watched) -> None:
        self._card, self._port, self._watched = card, port, watched
        self._link: VpcdLink | None = None
        self.put()

    def put(self) -> None:
        # While the driver has not noticed that the card before is gone, it takes no other: it is put in again then.
        while self._link is None or not self._link.ready.wait(2.0):
            self.pull()
            self._link = VpcdLink(self._card, port=self._port)
            self._link.__enter__()

    def out_and_in(self) -> None:
        """Pull the card, and put it in again once the reader has noticed."""
        self.pull()
        self._watched.wait(present=False)
        # A power cycle that fails marks the slot empty as well, and a card that is back before pcscd looks for itself,
        # which it does every 0.4 s, is never seen. No hand is that quick.
        time.sleep(1.0)
        self.put()

    def pull(self) -> None:
        if self._link is not None:
            self._link.__exit__(None, None, None)
            self._link = None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    # The journal is written through for every command, which a disk does a few hundred times a second.
    fast = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    return Place(tmp_path / "ledgers", fast / f"bsim-fuzz-journal-{os.getpid()}.txt")


@pytest.fixture
def inspected(pcscd: PrivatePcscd):
    from bsim.links.slot import Slot as Watched

    card = Inspected()
    watched = Watched(pcscd.readers[0])
    slot = Slot(card, pcscd.ports[0], watched)
    watched.wait(present=True)
    yield card, slot, pcscd.readers[0]
    slot.pull()
    watched.wait(present=False)
    watched.close()


def test_a_card_in_a_reader_is_left_as_it_was(inspected, place: Place) -> None:
    """A hundred thousand guarded commands, and the card is pulled twice meanwhile."""
    card, slot, reader = inspected
    plugged = ReaderCard(reader)
    due = [_APDUS // 3, 2 * _APDUS // 3]

    def watch(progress) -> None:
        if due and progress.apdus >= due[0]:
            del due[0]
            threading.Thread(target=slot.out_and_in).start()

    try:
        policy = Policy(cards.BPIN, 10, max_writes=BUDGET)
        campaign = CardCampaign(plugged, Options(seed=11, max_apdus=_APDUS), policy, place, "reader:0")
        with cards.quick_backups():
            report = campaign.run(watch)
    finally:
        plugged.close()
        place.journal.unlink(missing_ok=True)
    assert report.exit is Exit.CLEAN, (report.notes, [one.text() for one in report.findings])
    assert report.safety is not None
    assert report.safety["sent"] >= _APDUS
    assert report.safety["recovered"] == 2
    card.check(report)


def test_it_is_compared_with_the_emulated_one(inspected, place: Place, tmp_path, monkeypatch, capsys) -> None:
    card, _, reader = inspected
    monkeypatch.chdir(tmp_path)
    command = ["fuzz", "diff", "--on", "ram", "--on", f"reader:{reader}", "--bpin", cards.BPIN, "--sequences", "60"]
    command += ["--tries-left", "10", "--ledger", str(place.ledgers)]
    assert main(command) == 2
    assert f"--allow-card {cards.ICCID}" in capsys.readouterr().err
    sent = card.count
    assert main([*command, "--allow-card", cards.ICCID]) == 0
    assert "0 differences" in capsys.readouterr().err
    assert card.count > sent + 300
    assert card.lowest == 10


def test_only_a_card_that_is_named_is_fuzzed(inspected, place: Place, tmp_path, capsys) -> None:
    _, _, reader = inspected
    command = ["fuzz", "run", "--on", f"reader:{reader}", "--bpin", cards.BPIN, "--max-apdus", "300", "-q"]
    command += ["--ledger", str(place.ledgers), "--dir", str(tmp_path / "run")]
    assert main(command) == 2
    assert f"--allow-card {cards.ICCID}" in capsys.readouterr().err
    assert main([*command, "--unsafe", "--i-own-this-card", "8986"]) == 2
    assert main([*command, "--allow-card", cards.ICCID, "--tries-left", "10"]) == 0
    assert "nothing found" in capsys.readouterr().out
