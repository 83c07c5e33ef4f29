"""Makes a reproducer small: fewer steps (ddmin), then plainer ones. The goal is the same finding, not the bytes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from bsim.apdu import CLAS, MAX_LC, CommandApdu
from bsim.fuzz.cards import ROOTS
from bsim.fuzz.grammar import Entry, on_channel
from bsim.fuzz.replay import Replays
from bsim.fuzz.steps import PLAIN, SECURES, SEND, Step
from bsim.spec import domains
from bsim.sw import SwError

MOST: Final = 600
"""Replays that one minimisation may take."""
_CHAIN: Final = 0x10
_HANGING: Final = 12  # replays of something that hangs: each costs its whole patience
_FREE: Final = frozenset({PLAIN, SECURES})  # what is in such a command follows from nothing else
_PLAINEST: Final = ("operational", "personalised", "factory", "recovery")


class Minimiser:
    """Minimises one finding: `root` and `steps` are the smallest that still lead to `key`."""

    def __init__(
        self,
        replayer: Replays,
        root: str,
        steps: Sequence[Step],
        key: str,
        most: int = MOST,
        *,
        roots: Sequence[str] | None = None,
    ) -> None:
        """`roots` are other kinds of cards to try it on (default: all)."""
        self._replayer: Final = replayer
        self._key: Final = key
        others = (*_PLAINEST, *(one for one in ROOTS if one not in _PLAINEST))
        self._roots: Final = others if roots is None else roots
        self.root = root
        self.steps = list(steps)
        self._left = min(most, _HANGING) if key.startswith("hang/") else most

    def run(self) -> None:
        """Minimise; without effect if the steps do not lead there at all."""
        used = self._hits(self.root, self.steps)
        if used is None:
            return
        del self.steps[used:]
        self._ddmin()
        self._plainer_card()
        self._one_channel()
        self._whole_commands()
        self._plainer_steps()
        self._ddmin()

    def _hits(self, root: str, steps: Sequence[Step]) -> int | None:
        """After how many steps the finding is met; None if it is not."""
        if self._left <= 0:
            return None
        self._left -= 1
        hit, used = self._replayer.run(root, steps, self._key)
        return used if hit is not None and hit.key == self._key else None

    def _ddmin(self) -> None:
        """Zeller and Hildebrandt, 2002: chunks of half the steps, then of a quarter, down to single ones."""
        size = max(len(self.steps) // 2, 1)
        while True:
            shrunk, at = False, 0
            while at < len(self.steps) and len(self.steps) > 1:
                fewer = self.steps[:at] + self.steps[at + size :]
                used = self._hits(self.root, fewer) if fewer else None
                if used is not None:
                    self.steps = fewer[:used]
                    shrunk = True
                else:
                    at += size
            if size == 1 and not shrunk:
                return
            size = max(size // 2, 1)

    def _plainer_card(self) -> None:
        """On another kind of card, where fewer steps may do, or the last alone; the plainest card of equals."""
        best = self.root, self.steps
        for root in self._roots:
            if root == self.root:
                continue
            for steps in (best[1], self._skeleton(best[1])):
                if self._hits(root, steps) is None:
                    continue
                small = Minimiser(self._replayer, root, steps, self._key, self._left)
                small._ddmin()
                self._left = small._left
                if len(small.steps) < len(best[1]) or (
                    len(small.steps) == len(best[1]) and _plain(root) < _plain(best[0])
                ):
                    best = root, small.steps
                break
        self.root, self.steps = best

    def _skeleton(self, steps: Sequence[Step]) -> list[Step]:
        """The last step, and what is selected for it: on a card that is in the right state already it may be enough."""
        select = self._replayer.grammar.by_name["SELECT"].command.ins
        return [*(step for step in steps[:-1] if step[1][1:2] == bytes((select,))), steps[-1]]

    def _one_channel(self) -> None:
        """Everything on the basic channel, without the commands that open others."""
        plain = [next(_basic_channel(None, step), step) for step in self.steps]
        if plain != self.steps and self._hits(self.root, plain) is not None:
            self.steps = plain
            self._ddmin()

    def _whole_commands(self) -> None:
        """Each chain as one command."""
        at = 0
        while at + 1 < len(self.steps):
            joined = _joined(self.steps[at], self.steps[at + 1])
            fewer = [] if joined is None else [*self.steps[:at], joined, *self.steps[at + 2 :]]
            if fewer and self._hits(self.root, fewer) == len(fewer):
                self.steps = fewer
            else:
                at += 1

    def _plainer_steps(self) -> None:
        for at in range(len(self.steps)):
            for change in _CHANGES:
                for step in change(self._entry(self.steps[at]), self.steps[at]):
                    if step == self.steps[at]:
                        continue
                    changed = [*self.steps[:at], step, *self.steps[at + 1 :]]
                    if self._hits(self.root, changed) == len(changed):
                        self.steps = changed
                        break

    def _entry(self, step: Step) -> Entry | None:
        raw = step[1]
        if len(raw) < 4:
            return None
        grammar = self._replayer.grammar
        applets = ("", "wallet", "issuer")
        return next((entry for name in applets if (entry := grammar.find(name, raw)) is not None), None)


def _plain(root: str) -> int:
    """How plain a kind of card is: the less, the plainer."""
    return _PLAINEST.index(root) if root in _PLAINEST else len(_PLAINEST)


def _joined(first: Step, second: Step) -> Step | None:
    """A part of a chain and the next in one; None if they are none."""
    begun, goes_on = first[1], second[1]
    if not begun or not begun[0] & _CHAIN or goes_on[:1] not in {begun[:1], bytes((begun[0] & ~_CHAIN,))}:
        return None
    try:
        head, tail = CommandApdu.parse(begun), CommandApdu.parse(goes_on)
    except SwError:
        return None
    same = begun[1:4] == goes_on[1:4] and len(head.data) + len(tail.data) <= MAX_LC
    return (second[0], replace(tail, data=head.data + tail.data).encode(), second[2]) if same else None


Change = Callable[[Entry | None, Step], Iterator[Step]]


def _powered(_entry: Entry | None, step: Step) -> Iterator[Step]:
    """Without the power cut."""
    if step[0] > SEND + 1:
        yield SEND, step[1], step[2]


def _unsecured(_entry: Entry | None, step: Step) -> Iterator[Step]:
    """As it is, and not as a host secures it."""
    if step[2] == SECURES:
        yield step[0], step[1], PLAIN


def _basic_channel(_entry: Entry | None, step: Step) -> Iterator[Step]:
    raw = step[1]
    if len(raw) >= 4 and CLAS[raw[0]].valid and CLAS[raw[0]].channel:
        cla = CLAS[raw[0]]
        yield step[0], bytes((on_channel(cla.base, 0) | 0x10 * cla.chaining,)) + raw[1:], step[2]


def _an_example(entry: Entry | None, step: Step) -> Iterator[Step]:
    """The declaration's own example of the command."""
    if entry is not None and step[2] in _FREE:
        for raw in entry.examples[:2]:
            yield step[0], raw, step[2]


def _smallest(entry: Entry | None, step: Step) -> Iterator[Step]:
    """The plainest legal values."""
    if entry is None or step[2] not in _FREE or not entry.command.data or entry.tlv:
        return
    data = b"".join(domains.of(field).legal[0] for field in entry.command.data)
    raw = step[1]
    yield step[0], raw[:4] + (bytes((len(data),)) + data if data else b""), step[2]


def _shorter(_entry: Entry | None, step: Step) -> Iterator[Step]:
    """Without Le, then with half of the data, then with zeros."""
    try:
        apdu = CommandApdu.parse(step[1])
    except SwError:
        return
    if step[2] not in _FREE:
        return
    if apdu.le is not None and apdu.data:
        yield step[0], replace(apdu, le=None).encode(), step[2]
    if len(apdu.data) > 1:
        for size in (1, len(apdu.data) // 2):
            yield step[0], replace(apdu, data=apdu.data[:size]).encode(), step[2]
        yield step[0], replace(apdu, data=bytes(len(apdu.data))).encode(), step[2]


_CHANGES: Final[tuple[Change, ...]] = (_powered, _unsecured, _basic_channel, _an_example, _smallest, _shorter)
