"""Every planted fault is found, told once, and its reproducer is as short as can be; once mended, it is gone."""

import logging

import pytest

from bsim.bench import hunt
from bsim.bench.planted import FAULTS
from bsim.fuzz import cards
from bsim.fuzz.campaign import Campaign, Options
from bsim.fuzz.engine import Kind
from bsim.fuzz.grammar import grammar
from bsim.fuzz.oracles import CHECKS, Judge
from bsim.fuzz.regress import check
from bsim.fuzz.replay import Replayer

SEED = 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str, card_bugs: list[logging.LogRecord]) -> None:
    fault = FAULTS[name]
    with fault.plant(), cards.quick_backups():
        campaign = Campaign(Options(seed=SEED, max_failures=1))
        campaign.prepare()
        while not campaign.finder.findings and campaign.explorer.apdus < 150_000:
            campaign.step(500)
    card_bugs.clear()
    (finding,) = campaign.finder.findings.values()
    assert finding.oracle == fault.oracle
    assert len(finding.steps) in fault.steps, finding.text()
    # The file alone leads there again, and nowhere once the fault is mended.
    with fault.plant(), pytest.raises(AssertionError, match=finding.oracle):
        check(finding.text())
    card_bugs.clear()
    check(finding.text())


def test_there_are_enough_of_them_for_most_checks() -> None:
    assert len(FAULTS) >= 12
    assert {fault.oracle for fault in FAULTS.values()} >= set(CHECKS) - {"differential", "stability"}


@pytest.mark.soak
def test_a_fault_is_told_once(card_bugs: list[logging.LogRecord]) -> None:
    caught = [hunt.hunt(FAULTS[name], SEED, after=3_000) for name in ("pin-order", "no-right", "length", "crash")]
    card_bugs.clear()
    summary = hunt.summary(caught)
    assert summary["found"] == 4
    assert summary["reports_a_fault"] == 1.0
    assert summary["minimal_percent"] == 100.0
    assert any(FAULTS["length"].title in row for row in hunt.table(caught))


def test_the_state_engine_needs_few_commands(
    card_bugs: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hunt, "CAPS", {"state": 60_000, "random": 3_000})
    races = [hunt.race(engine, (1, 2, 3), FAULTS[hunt.DEEP]) for engine in ("state", "random")]
    card_bugs.clear()
    assert races[0].median < 20_000
    assert races[1].apdus == (None, None, None)
    assert "> 3,000" in "\n".join(hunt.race_table(races))


def test_checks_can_be_left_out() -> None:
    with FAULTS["length"].plant():
        campaign = Campaign(Options(seed=SEED, max_apdus=2_000, checks=frozenset({"crash"})))
        assert not campaign.run().findings


def test_random_bytes_find_nothing_soon() -> None:
    with FAULTS["channels"].plant():
        assert not Campaign(Options(seed=SEED, max_apdus=3_000, engine=Kind.RANDOM)).run().findings


def test_what_cannot_be_repeated_is_no_finding() -> None:
    replayer = Replayer(grammar(), Judge())
    with FAULTS["length"].plant(), cards.quick_backups():
        campaign = Campaign(Options(seed=SEED, max_failures=1))
        campaign.run()
    (finding,) = campaign.finder.findings.values()
    with replayer.ready():
        assert replayer.run(finding.root, finding.steps, finding.key)[0] is None
