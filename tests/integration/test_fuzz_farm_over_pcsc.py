"""Two cards in two readers behind pcscd, a process for each: guarded, and left as they were."""

from contextlib import ExitStack

import pytest
from test_fuzz_over_pcsc import BUDGET, Inspected

from bsim.cli import main
from bsim.fuzz import cards
from bsim.fuzz.reports.load import load
from bsim.fuzz.result import Exit
from bsim.links.pcscd import PrivatePcscd
from bsim.links.vpcd import VpcdLink

pytestmark = pytest.mark.pcsc


def test_a_process_for_each_reader(pcscd: PrivatePcscd, tmp_path, monkeypatch) -> None:
    inserted, words = [], []
    for iccid in (cards.ICCID, "8986030000000000080"):
        monkeypatch.setattr(cards, "ICCID", iccid)
        inserted.append(Inspected())
        words += ["--allow-card", iccid]
    with ExitStack() as stack:
        for card, port in zip(inserted, pcscd.ports, strict=True):
            assert stack.enter_context(VpcdLink(card, port=port)).ready.wait(20)
        words += ["--on", ",".join(f"reader:{name}" for name in pcscd.readers)]
        words += ["--bpin", cards.BPIN, "--tries-left", "10", "--max-nv-writes", str(BUDGET)]
        words += ["--dir", str(tmp_path / "run"), "--ledger", str(tmp_path / "ledgers"), "--max-apdus", "1500"]
        code = main(["fuzz", "run", *words, "--seed", "1"])
    report = load(tmp_path / "run")
    assert (code, report.exit, report.workers) == (0, Exit.CLEAN, 2), report.notes
    assert report.safety is not None
    assert report.safety["tries_pending"] == 0, "as the cards were left, and not as they were in the middle"
    for card in inserted:
        assert card.count > 20
        card.check(report)
