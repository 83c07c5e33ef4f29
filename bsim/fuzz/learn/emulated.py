"""The emulated card as it is learned: with the key that the declared examples sign with, and brought back at once."""

from collections.abc import Callable

from bsim.fuzz.emulated_rig import EmulatedRig, Wrap
from bsim.fuzz.grammar import grammar
from bsim.fuzz.learn.alphabet import default, example
from bsim.fuzz.steps import POWER_CYCLE, send


def prepared(kind: str, wrap: Wrap | None = None) -> tuple[EmulatedRig, Callable[[], None]]:
    """Answer a card of a kind, and what brings it back to power-on."""
    rig = EmulatedRig(grammar(), kind, wrap)
    for step in (default(None)["SELECT.wallet"], send(example(grammar().by_name["DERIVE_KEY"])), POWER_CYCLE):
        rig.do(step)  # a card without a seed refuses, and has no key then
    return rig, rig.snapshot().restore
