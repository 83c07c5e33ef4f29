"""An emulated card on the bench, which can be looked into: its states, its writes, the tries of its PINs, its keys."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import is_
from typing import Final

from bsim.apdu import CLAS, SecureMessaging
from bsim.applets.secure import SecureSession
from bsim.card import T0, Uicc
from bsim.card.freeze import Snapshot
from bsim.card.insides import fields_of
from bsim.crypto.scp import Channel, Level
from bsim.fuzz import cards
from bsim.fuzz.grammar import Entry, Grammar
from bsim.fuzz.presented import PRESENTING, pins_of, presented, verified_after
from bsim.fuzz.rig import Rig
from bsim.fuzz.shadow import Shadow
from bsim.fuzz.steps import OPENS, RESET, SECURES, SEND, Step, cut_of
from bsim.lab.powercut import PowerCut

Wrap = Callable[[Uicc], None]
_PLAIN: Final = frozenset({bytes, int, str, bool, type(None)})
_REMEMBERED: Final = 4096
_WRONG_LE: Final = 0x6C
_OPENS_ANEW: Final = 0x82  # EXTERNAL AUTHENTICATE: what is secured with this INS opens a secure channel


class EmulatedRig(Rig):
    """An emulated card. `channels` (secure) to `writes`, but not store and card, are about the last step as well."""

    __slots__ = (
        "_freezer",
        "_known_tries",
        "_view",
        "channels",
        "kind",
        "records",
        "store",
        "tries",
        "uicc",
        "verified",
        "writes",
    )

    def __init__(self, grammar: Grammar, root: str, wrap: Wrap | None = None) -> None:
        self.uicc, self.store = cards.make(root, wrap) if wrap is not None else cards.make(root)
        over_t0 = cards.ROOTS[root].over_t0
        shadow = Shadow(grammar, self._selected, self.pin, self.is_pin, cards.OPENING_KEY)
        super().__init__(grammar, root, T0(self.uicc) if over_t0 else self.uicc, shadow, over_t0=over_t0, inside=True)
        self._view: Final = self.uicc.fuzz_view()
        same = (self, grammar, *grammar.entries)
        self._freezer: Final = self.uicc.freezer(self.card, self.shadow, self.store, leave=same)
        self._known_tries: dict[int, tuple[object, tuple[int, ...]]] = {}
        self.channels: Sequence[Channel] = ()
        self.kind = SEND
        self.records = self.store.read()
        self.writes: Sequence[Mapping[str, bytes | None]] = ()
        self.tries: tuple[int, ...] = ()
        self.verified: frozenset[int] = frozenset()  # the file system's PINs that may have been, before the step

    def do(self, step: Step) -> None:
        """Carry out one step."""
        kind, raw, link = step
        self.kind = kind
        self.steps += 1
        self.states = self.uicc.states
        self.tries, self.rights = self._tries_of(self.states), self.shadow.rights
        self.verified, self.channels = self.shadow.verified, self.secure_channels()
        self.records, self.prompt = self.store.read(), self.shadow.prompt
        if self.store.changes:
            self.store.arm(None)
        self.raised = None
        try:
            self._carry_out(kind, raw, link)
        except Exception as bug:  # noqa: BLE001 - a card never raises: one that does is a finding, and no end of the run
            self.raised, self.response, self.data, self.sw, self.busy = bug, b"", b"", 0, False
        self.writes = self.store.changes

    def _carry_out(self, kind: int, raw: bytes, link: int) -> None:
        if kind == RESET:
            self.reset_card()
        else:
            raw = self._opening(raw) if link == OPENS else raw
            self.secured = self._channel_of(raw) if link == SECURES else None
            raw = self.shadow.resolve(raw, link) if link else raw
            if kind == SEND:
                self.send(raw)
            else:
                self._send_with_cut(kind, raw)
            entry = self.entry
            if (self.over_t0 and self.sw >> 8 == _WRONG_LE) or (entry is not None and entry.manages and self.response):
                self._look_again()
            if entry is not None and entry.name in PRESENTING and self.response:
                self._presented(entry)

    def _opening(self, raw: bytes) -> bytes:
        """Put in what opens the secure channel that INITIALIZE UPDATE began, as a host that knows the keys does."""
        session = self.uicc.session(CLAS[raw[0]].channel)
        if not isinstance(session, SecureSession) or session.begun is None:
            return raw
        proof = session.begun[1].proof(raw[2])
        return raw[:4] + bytes((len(proof),)) + proof

    def secure_channel(self, channel: int) -> Channel | None:
        """Answer the secure channel in which commands on a channel must be sent now, if there is one."""
        session = self.uicc.session(channel)
        secure = session.secure if isinstance(session, SecureSession) else None
        return secure if secure is not None and secure.level > Level.NONE else None

    def secure_channels(self) -> Sequence[Channel]:
        """Answer the secure channels that are open on what is selected now, or about to be."""
        if not self.shadow.begun:
            return ()
        sessions = [self.uicc.session(number) for number in self.shadow.selected]
        return [
            channel
            for session in sessions
            if isinstance(session, SecureSession)
            for channel in (session.secure, session.begun[1] if session.begun is not None else None)
            if channel is not None
        ]

    def _channel_of(self, raw: bytes) -> Channel | None:
        """The secure channel in which a command must be sent; None where there is none, or it is secured already."""
        if len(raw) < 2 or CLAS[raw[0]].secure_messaging is not SecureMessaging.NONE or raw[1] == _OPENS_ANEW:
            return None
        return self.secure_channel(CLAS[raw[0]].channel)

    def _presented(self, entry: Entry) -> None:
        """What a value that was presented to a PIN says of what is verified."""
        shown = presented(entry, self.whole)
        if shown is not None:
            before, after = pins_of(self.states), pins_of(self.uicc.states)
            self.shadow.verified = verified_after(self.shadow.verified, shown, before, after)

    def _look_again(self) -> None:
        """What is selected may be another now, though nothing was selected.

        Over T=0 the card has carried out what is answered 6Cxx: the layer holds its answer, and knows its length. And
        an application that is locked or deleted is not selected any more, on whatever channel.
        """
        known = self.shadow.selected
        for number in [number for number in known if number not in self.uicc.open_channels]:
            del known[number]
        for number in self.uicc.open_channels:
            known[number] = self._selected(number) or ""

    def _send_with_cut(self, kind: int, raw: bytes) -> None:
        """Cut power at a write; a card that wrote less often answers as if nothing had been planned."""
        write, after = cut_of(kind) or (0, False)
        self.store.arm(write, after=after)
        try:
            self.send(raw)
        except PowerCut:
            self.response = self.data = b""
            self.sw = 0
        changes = self.store.changes
        self.store.arm(None)
        if not self.response:
            self.uicc.reload()
            self.card.reset()
            self.shadow.reset()
        self.store.changes = changes
        self.busy = False

    def snapshot(self) -> Snapshot:
        """Keep card and conversation as they are."""
        return self._freezer.take()

    def state(self) -> int:
        """Answer a number for the card's state."""
        return hash(self.facets())

    def facets(self) -> tuple[int, int]:
        """Answer numbers for the sides of the card's state that are explored each for itself: its files, all the rest.

        A file that is selected makes no dialogue another one, nor the dialogue the file; both together are many.
        """
        files, others = self._view()
        return hash((files, self.over_t0)), hash((others, bool(self.shadow.fetched), self.over_t0))

    def count_tries(self) -> tuple[int, ...]:
        """Answer every PIN's tries, in the order in which the card keeps them."""
        states, before = self.uicc.states, self.states
        # Most commands replace no state.
        return self.tries if len(states) == len(before) and all(map(is_, states, before)) else self._tries_of(states)

    def _tries_of(self, states: Sequence[object]) -> tuple[int, ...]:
        """Persistent states are replaced whole: what was counted once needs no second look."""
        known, found = self._known_tries, ()  # type: tuple[dict[int, tuple[object, tuple[int, ...]]], tuple[int, ...]]
        for state in states:
            seen = known.get(id(state))
            if seen is None or seen[0] is not state:
                if len(known) > _REMEMBERED:
                    known.clear()
                seen = known[id(state)] = state, tuple(_tries(state))
            if seen[1]:
                found += seen[1]
        return found

    def pin(self) -> bytes:
        """Answer the BPIN the card has now."""
        return next((state.bpin for state in self.uicc.states if hasattr(state, "bpin")), b"")

    def is_pin(self, text: str) -> bool:
        """Whether what was typed is the BPIN."""
        return text.encode() == self.pin()

    def _selected(self, channel: int) -> str | None:
        applet = self.uicc.selected(channel)
        return "" if applet is None else self.grammar.aids.get(applet.aids[0], "")


def _tries(state: object) -> Iterator[int]:
    """Everything in a persistent state that is called tries, however deep."""
    kind = type(state)
    if kind in _PLAIN:
        return
    for one in fields_of(kind):
        value = getattr(state, one.name)
        if type(value) is int and "tries" in one.name:
            yield value
        else:
            yield from _tries(value)
    if isinstance(state, tuple | list | frozenset | dict):
        for value in state.values() if isinstance(state, dict) else state:
            yield from _tries(value)
