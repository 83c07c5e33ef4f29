"""The declaration's own machine: rights and refusals of applet_spec/*.toml, the dialogue as ETSI TS 102 223 has it.

It knows nothing of the card's code. What only a handler can know is taken from the declared examples.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from bsim.fuzz.grammar import Entry, Grammar, grammar
from bsim.fuzz.learn.alphabet import GIVES_UP, RESET, RIGHT, Alphabet
from bsim.fuzz.learn.machine import Mealy
from bsim.fuzz.steps import RESET as POWER
from bsim.spec import spec

_OK: Final = "9000"
_WAITS: Final = "91XX"
_CONDITIONS: Final = "6985"
_SECURITY: Final = "6982"
_PARAMETERS: Final = "6A86"
# Rights that no command of the alphabet makes, and that a card of its profile has: applet_spec/wallet.toml.
_HELD: Final = frozenset({"opened", "bpin_usable", "restore"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides the answers: what is selected, who may do what, and the dialogue: nothing, waits or fetched."""

    selected: str = ""
    rights: frozenset[str] = frozenset()
    terminal: bool = False
    dialogue: str = ""
    asker: str = ""


class Declared:
    """A card in a state of its life, by the declaration. `prepared` says that it has the keys examples speak of."""

    def __init__(self, symbols: Alphabet, life: str | None, *, prepared: bool) -> None:
        self._symbols: Final = symbols
        self._prepared: Final = prepared
        self._refuses: Final = spec().applets["wallet"].life_cycle[life].refuses if life else {}
        self._grammar: Final[Grammar] = grammar()

    def machine(self) -> Mealy:
        """Answer the machine: every state that the symbols reach, the first being a card after a reset."""
        numbers, waiting = {Facts(): 0}, deque([Facts()])
        edges = {}
        while waiting:
            facts = waiting.popleft()
            for symbol in self._symbols:
                output, after = self.step(facts, symbol)
                if after not in numbers:
                    numbers[after] = len(numbers)
                    waiting.append(after)
                edges[numbers[facts], symbol] = output, numbers[after]
        return Mealy(tuple(self._symbols), edges)

    def step(self, facts: Facts, symbol: str) -> tuple[str, Facts]:
        """Answer what a symbol is answered, and what holds after it."""
        kind, raw, _ = self._symbols[symbol]
        if kind == POWER:
            return RESET, Facts()
        entry = self._grammar.find(facts.selected, raw)
        if entry is None:
            return self._unknown(facts.selected, raw), facts
        refusal = self._refusal(entry, facts) if entry.command.takes(raw) else _PARAMETERS
        output, after = (refusal, facts) if refusal else self._done(entry, facts, symbol, raw)
        # ETSI TS 102 221 7.4.2: normal ending becomes 91xx while a proactive command waits.
        said = [_WAITS if one == _OK and after.dialogue == "waits" else one for one in output.split("|")]
        return "|".join(said), after

    def _unknown(self, selected: str, raw: bytes) -> str:
        known = self._grammar.answers(selected)
        return "6D00" if any(raw[0] in entry.command.cla for entry in known) else "6E00"

    def _refusal(self, entry: Entry, facts: Facts) -> str:
        """In the order of applet_spec/README.md: conditions, rights, what only the handler knows."""
        declared = self._refuses.get(entry.name, "")
        if declared.startswith("698"):
            return declared
        missing = [name for name in entry.needs if name not in facts.rights | _HELD]
        return _SECURITY if missing else declared

    def _done(self, entry: Entry, facts: Facts, symbol: str, raw: bytes) -> tuple[str, Facts]:
        """What a command does that nothing refuses."""
        if entry.name == "SELECT":
            aid = raw[5 : 5 + raw[4]]
            return _OK, replace(facts, selected=self._grammar.aids.get(aid, ""))
        if entry.name == "TERMINAL_PROFILE":
            return _OK, replace(facts, terminal=True)
        if entry.dialogue and entry.makes:
            return self._asked(entry, facts)
        if entry.name == "FETCH":
            return (_OK, replace(facts, dialogue="fetched")) if facts.dialogue == "waits" else (_CONDITIONS, facts)
        if entry.name == "TERMINAL_RESPONSE":
            return self._answered(facts, symbol)
        return self._handled(entry), facts

    def _asked(self, entry: Entry, facts: Facts) -> tuple[str, Facts]:
        if set(entry.makes) <= facts.rights or facts.asker == entry.name:
            return _OK, facts
        if not facts.terminal or facts.dialogue:
            return _CONDITIONS, facts
        return _OK, replace(facts, dialogue="waits", asker=entry.name)

    def _answered(self, facts: Facts, symbol: str) -> tuple[str, Facts]:
        if facts.dialogue != "fetched" or symbol not in {RIGHT, GIVES_UP}:
            return _CONDITIONS, facts
        makes: Iterable[str] = self._grammar.by_name[facts.asker].makes if symbol == RIGHT else ()
        return _OK, replace(facts, rights=facts.rights.union(makes), dialogue="", asker="")

    def _handled(self, entry: Entry) -> str:
        if self._prepared:
            return _OK
        # Of a card whose keys are not known: whatever the handler may say, and no refusal that comes before it.
        return "|".join(sw for sw in entry.command.sw if sw not in {_CONDITIONS, _SECURITY, "6983"} and "*" not in sw)
