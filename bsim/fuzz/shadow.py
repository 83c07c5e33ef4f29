"""What a conversation tells of a card: channels, what is selected, chains, dialogues, rights that may hold.

It over-approximates: a right that is not here cannot hold, one that is here may. So what is judged by it is never
judged wrongly. Being part of the state, it is frozen and brought back together with the card.
"""

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from bsim.apdu import CLAS, MAX_LC, body
from bsim.applets.proactive import ProactiveCommand, TerminalResponse
from bsim.fuzz.grammar import Entry, Grammar, ended_well
from bsim.fuzz.steps import ANSWERS, PROVES, TYPES
from bsim.sw import SwError
from bsim.tlv import TlvError

_DETAILS: Final = b"\x81\x03"
_CHAIN: Final = 0x10
_TYPED: Final = 20  # bytes of a TERMINAL RESPONSE before what was typed: header, details, devices, result, text's head
_IN_DIALOGUE: Final = frozenset({ANSWERS, TYPES})

Peek = Callable[[int], str | None]
"""Answers the applet selected on a channel, where the card can be looked into; None where it cannot."""
Pin = Callable[[], bytes]
"""Answers the card's PIN as of now."""
IsPin = Callable[[str], bool]
"""Says whether what was typed may be the card's PIN."""


class Shadow:
    """Follows one card; every attribute is a plain value or a small table."""

    __slots__ = (
        "_askers",
        "_grammar",
        "_is_pin",
        "_opening_key",
        "_peek",
        "_pin",
        "begun",
        "chains",
        "challenge",
        "fetched",
        "prompt",
        "rights",
        "selected",
        "stream",
        "streams",
        "terminal",
        "verified",
        "waiting",
    )

    def __init__(
        self, grammar: Grammar, peek: Peek, pin: Callable[[], bytes], is_pin: IsPin, opening_key: bytes
    ) -> None:
        self._grammar: Final = grammar
        self._peek: Final = peek
        self._pin: Final = pin
        self._is_pin: Final = is_pin
        self._opening_key: Final = opening_key
        self.selected: dict[int, str] = {}
        self.chains: dict[int, tuple[bytes, bytes]] = {}
        self.streams: dict[int, bytes] = {}
        self.stream: bytes | None = None
        self.reset()

    def reset(self) -> None:
        """Power is gone."""
        self.selected.clear()
        self.selected[0] = ""
        self.chains.clear()
        self.streams.clear()
        self.rights: frozenset[tuple[int, str]] = frozenset()
        self.begun = False  # whether a secure channel may be open, or about to be
        self.verified: frozenset[int] = frozenset()  # PINs of the file system, where the card can be looked into
        self._askers: frozenset[tuple[int, Entry]] = frozenset()
        self.fetched = b""
        self.prompt = ""
        self.waiting = 0
        self.terminal = False
        self.challenge = b""

    def resolve(self, raw: bytes, link: int) -> bytes:
        """Put into a command what follows from the card's earlier answers."""
        if link in _IN_DIALOGUE and self.fetched and raw[5:7] == _DETAILS:
            raw = raw[:7] + self.fetched + raw[10:]
        if link == TYPES:
            pin = self._pin()
            return raw[: -len(pin)] + pin if pin and len(raw) == _TYPED + len(pin) else raw
        if link == PROVES and self.challenge and len(raw) >= 21:
            return raw[:5] + self.proof() + raw[21:]
        return raw

    def proof(self) -> bytes:
        """Answer the cryptogram that opens the card."""
        mac = CMAC(AES(self._opening_key))
        mac.update(self.challenge)
        return mac.finalize()

    def whole(self, raw: bytes, channel: int) -> bytes | None:
        """Answer the command that is carried out with this one: a chain's end with all its data; None inside one."""
        cla = raw[0]
        chaining = CLAS[cla].chaining
        begun = self.chains.get(channel)
        if begun is None or begun[0] != bytes((cla & ~_CHAIN,)) + raw[1:4]:
            return None if chaining else raw
        if chaining:
            return None
        try:
            start, end, _ = body(raw)
        except SwError:
            return raw
        data = begun[1] + raw[start:end]
        if len(data) > MAX_LC:
            return raw
        return raw[:4] + b"\0" + len(data).to_bytes(2, "big") + data

    def note(self, raw: bytes, entry: Entry | None, channel: int, response: bytes) -> None:
        """Take note of a command and its answer."""
        sw = response[-2] << 8 | response[-1]
        self.waiting = (response[-1] or 256) if sw >> 8 == 0x91 else 0
        if channel in self.chains or CLAS[raw[0]].chaining:
            self._chain(raw, channel, sw)
        if entry is None or not ended_well(sw):
            return
        known = _NOTES.get(entry.name)
        if known is not None:
            known(self, raw, channel, response)
        if entry.makes and not CLAS[raw[0]].chaining:
            if entry.dialogue:
                # Whose the next dialogue is cannot be told from outside: it may come after another, or be one already.
                self._askers |= {(channel, entry)}
            else:
                self._grant(channel, entry)

    def typed(self, raw: bytes) -> TerminalResponse | None:
        """Read a TERMINAL RESPONSE; None if it is none, or cannot be read."""
        try:
            start, end, _ = body(raw)
            return TerminalResponse.parse(raw[start:end])
        except SwError:
            return None

    def _chain(self, raw: bytes, channel: int, sw: int) -> None:
        """ISO/IEC 7816-4 5.3.3: parts of a chain differ from its end in one bit of the class, and in data."""
        begun = self.chains.pop(channel, None)
        if not CLAS[raw[0]].chaining or not ended_well(sw):
            return
        head = bytes((raw[0] & ~_CHAIN,)) + raw[1:4]
        try:
            start, end, _ = body(raw)
        except SwError:
            return  # taken by a card that should not have
        before = begun[1] if begun is not None and begun[0] == head else b""
        self.chains[channel] = head, before + raw[start:end]

    def _grant(self, channel: int, entry: Entry) -> None:
        self.rights |= {(channel, right) for right in entry.makes}

    def _select(self, raw: bytes, channel: int, response: bytes) -> None:
        seen = self._peek(channel)
        if seen is None:
            seen = self._named(raw, response)
        self.selected[channel] = seen
        self.streams.pop(channel, None)

    def _named(self, raw: bytes, response: bytes) -> str:
        if raw[2] != 4:
            return ""
        start, end, _ = body(raw)
        aid = raw[start:end]
        by_answer = [name for full, name in self._grammar.aids.items() if full in response]
        by_name = [name for full, name in self._grammar.aids.items() if full.startswith(aid)]
        return (by_answer or by_name or [""])[0]

    def _channel(self, raw: bytes, channel: int, response: bytes) -> None:
        if raw[2] == 0:
            number = raw[3] or (response[0] if len(response) > 2 else 0)
            seen = self._peek(number)
            self.selected[number] = self.selected.get(channel, "") if seen is None else seen
        else:
            number = raw[3] or channel
            self.selected.pop(number, None)
            self.chains.pop(number, None)
            self.streams.pop(number, None)
            self.rights = frozenset(one for one in self.rights if one[0] != number)
            self._askers = frozenset(one for one in self._askers if one[0] != number)

    def _profile(self, _raw: bytes, _channel: int, _response: bytes) -> None:
        self.terminal = True

    def _fetch(self, _raw: bytes, _channel: int, response: bytes) -> None:
        try:
            command = ProactiveCommand.parse(response[:-2])
        except TlvError:
            return
        self.fetched = bytes((command.number, command.type, command.qualifier))
        self.prompt = command.text

    def _answered(self, raw: bytes, _channel: int, _response: bytes) -> None:
        self.fetched = b""
        response = self.typed(raw)
        if response is not None and response.performed and response.text is not None and self._is_pin(response.text):
            for channel, entry in self._askers:
                if channel in self.selected:
                    self._grant(channel, entry)

    def _paged(self, _raw: bytes, channel: int, _response: bytes) -> None:
        """What was to come of a stream is the oracle's to judge now; if nobody does, nothing is known of the rest."""
        self.stream = self.streams.pop(channel, None)

    def _begun(self, _raw: bytes, _channel: int, _response: bytes) -> None:
        self.begun = True

    def _challenge(self, _raw: bytes, _channel: int, response: bytes) -> None:
        self.challenge = response[:-2]


_NOTES: Final[dict[str, Callable[[Shadow, bytes, int, bytes], None]]] = {
    "SELECT": Shadow._select,
    "MANAGE_CHANNEL": Shadow._channel,
    "TERMINAL_PROFILE": Shadow._profile,
    "FETCH": Shadow._fetch,
    "TERMINAL_RESPONSE": Shadow._answered,
    "GET_CHALLENGE": Shadow._challenge,
    "EXPORT_PUBKEYS": Shadow._paged,
    "GP_INITIALIZE_UPDATE": Shadow._begun,
    "WALLET_INITIALIZE_UPDATE": Shadow._begun,
}
