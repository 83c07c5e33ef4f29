"""What generated tests call: a finding must not be met any more."""

from unittest import SkipTest

from bsim.fuzz import cards
from bsim.fuzz.emulated_rig import Wrap
from bsim.fuzz.finding import parse
from bsim.fuzz.grammar import grammar
from bsim.fuzz.oracles import Judge
from bsim.fuzz.replay import Replayer


def check(text: str, wrap: Wrap | None = None) -> None:
    """Replay a finding's text on a new card; AssertionError says what is still wrong.

    SkipTest, which pytest knows: it was found on a card in a reader, and no card that is made here shows it.
    """
    finding = parse(text)
    if finding.in_reader:
        raise SkipTest(f"found on {finding.target}: bsim fuzz replay FILE {finding.where}")
    replayer = Replayer(grammar(), Judge(), wrap)
    with cards.quick_backups(), replayer.ready():
        hit, used = replayer.run(finding.root, finding.steps, finding.key)
    if hit is not None:
        raise AssertionError(f"after step {used} of {len(finding.steps)}: {hit.words} ({hit.key})")
