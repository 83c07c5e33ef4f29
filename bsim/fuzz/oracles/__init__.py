"""What must never happen, each by a name that `--checks` takes, with how bad it is and its CWE."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.oracles.access import access_control, access_control_inside
from bsim.fuzz.oracles.atomic import atomicity
from bsim.fuzz.oracles.conformance import response_schema, sw_conformance
from bsim.fuzz.oracles.crash import CrashLog, crash
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.oracles.leak import Secrets, secret_leak
from bsim.fuzz.oracles.metamorphic import Keys, metamorphic
from bsim.fuzz.oracles.pin import pin_counter
from bsim.fuzz.rig import Rig

__all__ = ["CHECKS", "OUTSIDE", "Check", "Hit", "Judge"]


@dataclass(frozen=True, slots=True)
class Check:
    """An oracle as reports name it: `level` is SARIF's (error, warning, note), `cwe` a number of MITRE's list."""

    name: str
    title: str
    level: str
    cwe: int


CHECKS: Final = {
    check.name: check
    for check in (
        Check("crash", "6F00, an exception, or no answer", "error", 248),
        Check("hang", "an answer that does not come", "error", 835),
        Check("secret-leak", "bytes of a secret in an answer or a log", "error", 200),
        Check("access-control", "carried out without the right, or in a state that refuses", "error", 862),
        Check("pin-counter", "PIN tries spent, kept or given back wrongly", "error", 307),
        Check("atomicity", "a change that is not made at once, or not allowed", "error", 662),
        Check("response-schema", "an answer that is not as declared", "warning", 393),
        Check("sw-conformance", "a status word that is not declared, or success that may not be", "warning", 754),
        Check("metamorphic", "answers that contradict each other or the standards", "error", 347),
        Check("differential", "another answer over another road", "warning", 436),
        Check("stability", "another answer to the same commands", "warning", 758),
    )
}
OUTSIDE: Final = frozenset({"crash", "secret-leak", "access-control", "response-schema", "sw-conformance"})
"""The checks of `Judge.outside`."""


class Judge:
    """Asks the oracles that are chosen, the gravest first, after each step; the first hit counts."""

    def __init__(self, checks: Collection[str] = frozenset(CHECKS)) -> None:
        self.checks: Final = frozenset(checks)
        self.log: Final = CrashLog()
        secrets, keys, log = Secrets(), Keys(), self.log
        outside: dict[str, Callable[[Rig], Hit | None]] = {
            "crash": lambda rig: crash(rig, log),
            "secret-leak": lambda rig: secret_leak(rig, secrets, log),
            "access-control": access_control,
            "response-schema": response_schema,
            "sw-conformance": sw_conformance,
        }
        every: dict[str, Callable[[EmulatedRig], Hit | None]] = {
            **outside,
            "access-control": access_control_inside,
            "pin-counter": pin_counter,
            "atomicity": atomicity,
            "metamorphic": lambda rig: metamorphic(rig, keys),
        }
        self._asked: Final = [every[name] for name in CHECKS if name in every and name in self.checks]
        self._outside: Final = [outside[name] for name in CHECKS if name in OUTSIDE and name in self.checks]

    def __call__(self, rig: EmulatedRig) -> Hit | None:
        """Judge the last step."""
        for ask in self._asked:
            hit = ask(rig)
            if hit is not None:
                return hit
        return None

    def outside(self, rig: Rig) -> Hit | None:
        """Judge the last step of any card, by those of the oracles that need not look into it."""
        return next((hit for ask in self._outside if (hit := ask(rig)) is not None), None)
