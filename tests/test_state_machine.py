"""A card driven at random against a model of it: channels, selection, BPIN, slots, seed, card opening and dialogues.

The model is written from card-level rules only: it knows no applet, session or store of the card's code.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar
from unittest.mock import patch

import pytest
from helpers import (
    COMMANDS,
    ED25519,
    ENTROPY,
    ISSUER_AID,
    KEY2,
    SECP256K1,
    SOLANA,
    WALLET_AID,
    Judge,
    apdu,
    bare_card,
    bip39_seed,
    cmac,
    ed25519_key,
    exchange,
    iso_cla,
    record,
    seal,
    signature,
    unseal,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from mnemonic import Mnemonic

from bsim.applets.proactive import ProactiveCommand, TerminalResponse
from bsim.crypto import envelope
from bsim.profiles import PROFILES, Profile

CHANNELS = 5
LEAST_STEPS = 2000
MOST_TRIES = 10
BACKUPS = (ENTROPY, bytes(16))
KINDS = ((60, SECP256K1), (503, SECP256K1), (SOLANA, ED25519))
DIGEST = b"\x5a" * 32

OK, MORE = 0x9000, 0x6300
ASK, NEW, REPEAT, TELL, PAGE, CONFIRM = "ask", "new", "repeat", "tell", "page", "confirm"
# The example of EIP-155: its unsigned transaction, and the hash the EIP prints.
UNSIGNED = bytes.fromhex("ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080")
HASH = bytes.fromhex("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53")

REACHED = [
    *((name, 0x6881) for name in ("SIGN", "SELECT", "MANAGE_CHANNEL")),
    *((name, OK) for name in ("SIGN", "EXPORT_SEED", "RESTORE_SEED", "GENERATE_SEED", "SET_BPIN", "TERMINAL_RESPONSE")),
    *((name, OK) for name in ("EXTERNAL_AUTHENTICATE", "WRITE_SESSION_KEY", "EXPORT_PUBKEYS")),
    *((name, 0x9100) for name in ("VERIFY_BPIN", "UPDATE_BPIN", "TERMINAL_RESPONSE", "RESTORE_SEED", "DERIVE_KEY")),
    *((name, 0x6982) for name in ("SIGN", "EXPORT_SEED", "RESTORE_SEED", "WRITE_SESSION_KEY")),
    *(
        (name, 0x6985)
        for name in ("VERIFY_BPIN", "UPDATE_BPIN", "SET_BPIN", "GENERATE_SEED", "FETCH", "EXPORT_PUBKEYS")
    ),
    *((name, 0x6A80) for name in ("RESTORE_SEED", "TERMINAL_RESPONSE")),
    *((name, 0x6A88) for name in ("SIGN", "DERIVE_KEY", "EXPORT_PUBKEYS")),
    *((name, 0x6D00) for name in ("SIGN", "GET_VERSION")),
    *(("SIGN_TRANSACTION", sw) for sw in (0x9100, 0x6982, 0x6985, 0x6A80, 0x6A88)),
    *(("GET_RESULT", sw) for sw in (OK, 0x6982, 0x6985)),
    ("GET_STATUS", OK),
    ("EXPORT_PUBKEYS", MORE),
    ("EXTERNAL_AUTHENTICATE", 0x6300),
    ("EXTERNAL_AUTHENTICATE", 0x6984),
    ("SELECT", 0x6A82),
    ("MANAGE_CHANNEL", 0x6A86),
]

channels = st.integers(0, CHANNELS - 1)
open_ones = st.sampled_from((0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 4))
bpins = st.sampled_from(("123456", "123456", "654321", "000000"))


@cache
def seed_of(entropy: bytes) -> bytes:
    return bip39_seed(Mnemonic("english").to_mnemonic(entropy))


@cache
def record_of(entropy: bytes, coin_type: int, slot: int, algorithm: int) -> bytes:
    return record(coin_type, slot, algorithm, seed_of(entropy))


@cache
def signature_of(entropy: bytes, coin_type: int, slot: int, algorithm: int) -> bytes:
    if algorithm == ED25519:
        return ed25519_key(coin_type, slot, seed_of(entropy)).sign(DIGEST)
    return signature(coin_type, slot, DIGEST, seed_of(entropy))


@cache
def approved(entropy: bytes, coin_type: int, slot: int) -> bytes:
    return signature(coin_type, slot, HASH, seed_of(entropy))


class TellingRng:
    """Randomness that remembers what it said last."""

    def __init__(self) -> None:
        self.calls = 0
        self.last = b""

    def __call__(self, length: int, /) -> bytes:
        self.calls += 1
        self.last = self.calls.to_bytes(4, "big") * (length // 4)
        return self.last


@dataclass(eq=False)
class Session:
    """What the wallet applet grants on one channel, until that closes."""

    verified: bool = False
    issuer: bool = False
    challenge: bytes = b""
    rest: bytes = b""
    result: bytes | None = None
    """The signature the user approved; nothing while they are asked, None where nothing is to be had."""
    open: bool = True


@dataclass
class Dialogue:
    """What the card asks its user."""

    kind: str
    session: Session
    stage: str
    fetched: bool = False
    new: str = ""
    key: tuple[bytes, int, int] = (b"", 0, 0)
    """With what is to be signed: the card's entropy, the coin type and the slot."""


@dataclass
class Model:
    """A card as a few facts."""

    entropy: bytes
    bpin: str = "123456"
    shipped_bpin: bool = True
    tries: int = MOST_TRIES
    opened: bool = False
    slots: list[tuple[int, int]] = field(default_factory=list)
    selected: dict[int, str] = field(default_factory=lambda: {0: ""})
    sessions: dict[int, Session] = field(default_factory=dict)
    terminal: bool = False
    dialogue: Dialogue | None = None

    def power_off(self) -> None:
        self.selected, self.sessions = {0: ""}, {}
        self.terminal, self.dialogue = False, None

    @property
    def waiting(self) -> bool:
        return self.dialogue is not None and not self.dialogue.fetched

    def session(self, channel: int) -> Session:
        return self.sessions.setdefault(channel, Session())

    def asks(self, session: Session, kind: str) -> bool:
        asked = self.dialogue
        return asked is not None and asked.session is session and asked.kind == kind and asked.stage != TELL

    def bpin_right(self, session: Session) -> int | None:
        if self.tries == 0:
            return 0x6983
        return None if session.verified else 0x6982

    def stream(self) -> bytes:
        return b"".join(record_of(self.entropy, coin, at, kind) for at, (coin, kind) in enumerate(self.slots, 1))


class CardMachine(RuleBasedStateMachine):
    steps = 0
    seen: ClassVar[Counter[tuple[int, int]]] = Counter()

    @initialize(blank=st.booleans(), terminal=st.booleans())
    def power_on(self, blank: bool, terminal: bool) -> None:
        self.rng = TellingRng()
        with patch.dict(PROFILES, {"five": Profile("five", "a card of five channels", channels=CHANNELS)}):
            self.card: Judge = bare_card(blank=blank, profile="five", rng=self.rng)
        self.model = Model(b"" if blank else ENTROPY)
        self.asked: ProactiveCommand | None = None
        self.select(0, "wallet")
        if terminal:
            self.tell_of_terminal(0)

    # How an expectation is judged.

    def judge(self, raw: bytes, sw: int, data: bytes | None = b"") -> bytes:
        """Send, and hold the answer against the model: 9000 is 91xx while something waits."""
        type(self).steps += 1
        found, found_sw = exchange(self.card, raw)
        self.seen[raw[1], found_sw if found_sw >> 8 != 0x91 else 0x9100] += 1
        if sw == OK and self.model.waiting:
            assert found_sw >> 8 == 0x91, f"{raw.hex()}: {found_sw:04X}, not 91xx"
        else:
            assert f"{found_sw:04X}" == f"{sw:04X}", raw.hex()
        if data is not None:
            assert found == data, raw.hex()
        return found

    def reachable(self, channel: int, applet: str, raw: bytes) -> bool:
        """Judge what keeps a command from its applet."""
        if channel not in self.model.selected:
            self.judge(raw, 0x6881)
        elif applet and self.model.selected[channel] != applet:
            # Where files are, GET RESULT's instruction is RESIZE FILE's, which wants data. ETSI TS 102 222 6.10.
            resizes = iso_cla(raw[0]).kind == (True, 0) and raw[1] == 0xD4 and not self.model.selected[channel]
            self.judge(raw, 0x6700 if resizes else 0x6D00)
        else:
            return True
        return False

    # The card's own commands.

    @rule()
    def reset(self) -> None:
        self.card.reset()
        self.model.power_off()
        self.asked = None

    @rule(channel=open_ones)
    def tell_of_terminal(self, channel: int) -> None:
        raw = apdu("TERMINAL_PROFILE", on=channel, profile=b"\xff")
        if self.reachable(channel, "", raw):
            self.judge(raw, OK)
            self.model.terminal = True

    @rule(channel=open_ones, applet=st.sampled_from(("wallet", "wallet", "wallet", "wallet", "issuer", "", "none")))
    def select(self, channel: int, applet: str) -> None:
        names = {"wallet": WALLET_AID, "issuer": ISSUER_AID, "none": b"\xf0\x00\x00\x00\x01"}
        if applet:
            raw = apdu("SELECT", on=channel, method="DF_NAME", control=0x0C, identifier=names[applet])
        else:
            raw = apdu("SELECT", on=channel, method="FILE_ID", control=0x0C, identifier=b"\x3f\x00")
        if not self.reachable(channel, "", raw):
            return
        if applet == "none":
            self.judge(raw, 0x6A82)
            return
        self.model.selected[channel] = applet
        if applet == "wallet":
            session = self.model.session(channel)
            session.rest = session.challenge = b""
        self.judge(raw, OK)

    @rule(channel=open_ones, number=channels)
    def open_channel(self, channel: int, number: int) -> None:
        raw = apdu("MANAGE_CHANNEL", on=channel, operation="OPEN", channel=number)
        if not self.reachable(channel, "", raw):
            return
        free = [n for n in range(1, CHANNELS) if n not in self.model.selected]
        if not free or (number and number not in free):
            self.judge(raw, 0x6881)
            return
        opened = number or free[0]
        self.model.selected[opened] = self.model.selected[channel] if channel else ""
        self.judge(raw, OK, b"" if number else bytes((opened,)))

    @rule(channel=open_ones, number=channels)
    def close_channel(self, channel: int, number: int) -> None:
        raw = apdu("MANAGE_CHANNEL", on=channel, operation="CLOSE", channel=number)
        if not self.reachable(channel, "", raw):
            return
        closed = number or channel
        if closed == 0 or closed not in self.model.selected:
            self.judge(raw, 0x6881 if closed else 0x6A86)
            return
        del self.model.selected[closed]
        self.model.sessions.pop(closed, Session()).open = False
        self.judge(raw, OK)

    @rule(channel=open_ones)
    def status(self, channel: int) -> None:
        raw = apdu("STATUS", on=channel, indication="NONE", form="DF_NAME")
        if self.reachable(channel, "", raw):
            name = {"wallet": WALLET_AID, "issuer": ISSUER_AID, "": b""}[self.model.selected[channel]]
            self.judge(raw, OK, b"\x84" + bytes((len(name),)) + name if name else b"")

    @rule(channel=open_ones, short=st.sampled_from((False, False, False, True)))
    def fetch(self, channel: int, short: bool) -> None:
        raw = apdu("FETCH", on=channel, le=1 if short else 256)
        if not self.reachable(channel, "", raw):
            return
        asked = self.model.dialogue
        if asked is None or asked.fetched:
            self.judge(raw, 0x6985)
            return
        if short:
            type(self).steps += 1
            assert self.card.transmit(raw)[0] == 0x6C
            return
        asked.fetched = True
        self.asked = ProactiveCommand.parse(self.judge(raw, OK, None))
        assert self.asked.hidden == (asked.stage in {ASK, NEW, REPEAT})
        if asked.stage == ASK and self.model.tries < MOST_TRIES and self.asked.text != "Enter BPIN":
            assert self.asked.text == f"Wrong BPIN, {self.model.tries} tries left. Enter BPIN"

    @rule(
        channel=open_ones,
        typed=st.sampled_from(("right", "right", "right", "000000", "654321", "12345", "\0", None)),
        number=st.sampled_from((0, 0, 0, 0, 1)),
    )
    def respond(self, channel: int, typed: str | None, number: int) -> None:
        command = self.asked or ProactiveCommand(0x23, 0, "")
        text = self.right_answer() if typed == "right" else typed
        result = 0x10 if typed is None else 0
        response = TerminalResponse(command.number + number, command.type, command.qualifier, result, text)
        raw = apdu("TERMINAL_RESPONSE", on=channel, response=response.encode())
        if not self.reachable(channel, "", raw):
            return
        asked = self.model.dialogue
        if asked is None or not asked.fetched:
            self.judge(raw, 0x6985)
            return
        if number:
            self.judge(raw, 0x6A80)
            return
        self.model.dialogue = None
        if asked.kind == "sign":
            self.decided(asked, text)
        elif text is not None and asked.stage != TELL:
            self.typed(asked, text)
        self.judge(raw, OK)

    def decided(self, asked: Dialogue, text: str | None) -> None:
        """The user read a page, or answered: only a yes signs, and only with the key that was shown."""
        model, session, (entropy, coin_type, slot) = self.model, asked.session, asked.key
        if session.open and text is not None and asked.stage == PAGE:
            model.dialogue = Dialogue("sign", session, CONFIRM, key=asked.key)
            return
        granted = session.open and session.verified and model.tries > 0 and model.entropy == entropy
        same = model.slots[slot - 1 : slot] == [(coin_type, SECP256K1)]
        yes = asked.stage == CONFIRM and text == "\1"
        session.result = approved(entropy, coin_type, slot) if yes and granted and same else None

    def right_answer(self) -> str:
        asked = self.model.dialogue
        if asked is not None and asked.stage == CONFIRM:
            return "\1"
        return asked.new if asked is not None and asked.stage == REPEAT else self.model.bpin

    def typed(self, asked: Dialogue, text: str) -> None:
        model, next_stage, new = self.model, TELL, text
        if asked.stage == ASK:
            right = text == model.bpin
            model.tries = MOST_TRIES if right else model.tries - 1
            if right and asked.kind == "verify":
                asked.session.verified = True
                return
            next_stage = NEW if right else ASK if model.tries else TELL
        elif asked.stage == NEW:
            next_stage = REPEAT
        elif text == asked.new and len(text) == 6:
            model.bpin, model.shipped_bpin = text, False
        model.dialogue = Dialogue(asked.kind, asked.session, next_stage, new=new)

    # The issuer domain.

    @rule(channel=open_ones)
    def iccid(self, channel: int) -> None:
        raw = apdu("GET_ICCID", on=channel, tag="ICCID")
        if self.reachable(channel, "issuer", raw):
            self.judge(raw, OK, bytes.fromhex("110A985802031280889979F1"))

    # The wallet.

    @rule(channel=open_ones)
    def version(self, channel: int) -> None:
        raw = apdu("GET_VERSION", on=channel)
        if self.reachable(channel, "wallet", raw):
            self.judge(raw, OK, b"\x00\x51")

    @rule(channel=open_ones, kind=st.sampled_from(KINDS))
    def derive(self, channel: int, kind: tuple[int, int]) -> None:
        raw = apdu("DERIVE_KEY", on=channel, coin_type=kind[0], algorithm=kind[1])
        if not self.reachable(channel, "wallet", raw):
            return
        if not self.model.entropy:
            self.judge(raw, 0x6A88)
            return
        self.model.slots.append(kind)
        self.judge(raw, OK)

    @rule(channel=open_ones, slot=st.integers(0, 4), kind=st.sampled_from(KINDS), right=st.booleans())
    def sign(self, channel: int, slot: int, kind: tuple[int, int], right: bool) -> None:
        slots = self.model.slots
        known = 1 <= slot <= len(slots)
        coin_type = slots[slot - 1][0] if right and known else kind[0]
        raw = apdu("SIGN", on=channel, coin_type=coin_type, slot=slot, digest=DIGEST)
        if not self.reachable(channel, "wallet", raw):
            return
        refusal = self.model.bpin_right(self.model.session(channel))
        if refusal is not None:
            self.judge(raw, refusal)
        elif not known or slots[slot - 1][0] != coin_type:
            self.judge(raw, 0x6A88)
        else:
            self.judge(raw, OK, signature_of(self.model.entropy, coin_type, slot, slots[slot - 1][1]))

    @rule(channel=open_ones, slot=st.integers(0, 3), whole=st.sampled_from((True, True, True, False)))
    def sign_transaction(self, channel: int, slot: int, whole: bool) -> None:
        raw = apdu("SIGN_TRANSACTION", on=channel, slot=slot, family=1, payload=UNSIGNED if whole else UNSIGNED[:-1])
        if not self.reachable(channel, "wallet", raw):
            return
        model, session = self.model, self.model.session(channel)
        refusal = model.bpin_right(session)
        if refusal is not None:
            self.judge(raw, refusal)
        elif not 1 <= slot <= len(model.slots):
            self.judge(raw, 0x6A88)
        elif model.slots[slot - 1][1] != SECP256K1 or not whole:
            self.judge(raw, 0x6A80)
        elif not model.terminal or model.dialogue is not None:
            self.judge(raw, 0x6985)
        else:
            session.result = b""
            key = (model.entropy, model.slots[slot - 1][0], slot)
            model.dialogue = Dialogue("sign", session, PAGE, key=key)
            self.judge(raw, OK)

    @rule(channel=open_ones)
    def result(self, channel: int) -> None:
        raw = apdu("GET_RESULT", on=channel)
        if not self.reachable(channel, "wallet", raw):
            return
        found = self.model.session(channel).result
        if not found:
            self.judge(raw, 0x6985 if found is None else 0x6982)
            return
        data = self.judge(raw, OK, None)
        assert data[:34] == b"\x80\x20" + HASH
        assert data.endswith(bytes((0x84, len(found))) + found)

    @rule(channel=open_ones)
    def where_it_stands(self, channel: int) -> None:
        raw = apdu("GET_STATUS", on=channel)
        if not self.reachable(channel, "wallet", raw):
            return
        model, session, asked = self.model, self.model.session(channel), self.model.dialogue
        own = asked is not None and asked.session is session and asked.stage != TELL
        kinds = {"verify": 1, "update": 2, "sign": 3}
        dialogue = 0 if asked is None else kinds[asked.kind] if own else 4
        data = self.judge(raw, OK, None)
        assert data[1:4] == bytes((model.tries, bool(model.entropy), len(model.slots)))
        assert data[8:10] == bytes((session.verified, dialogue))

    @rule(channel=open_ones, part=st.sampled_from(("FIRST", "NEXT")))
    def export(self, channel: int, part: str) -> None:
        raw = apdu("EXPORT_PUBKEYS", on=channel, part=part)
        if not self.reachable(channel, "wallet", raw):
            return
        session = self.model.session(channel)
        if not self.model.entropy:
            self.judge(raw, 0x6A88)
            return
        stream = self.model.stream() if part == "FIRST" else session.rest
        if part == "NEXT" and not stream:
            self.judge(raw, 0x6985)
            return
        session.rest = stream[256:]
        self.judge(raw, MORE if session.rest else OK, stream[:256])

    @rule(channel=open_ones)
    def verify(self, channel: int) -> None:
        raw = apdu("VERIFY_BPIN", on=channel)
        if not self.reachable(channel, "wallet", raw):
            return
        model, session = self.model, self.model.session(channel)
        if model.tries == 0:
            self.judge(raw, 0x6983)
        elif session.verified or model.dialogue is not None:
            self.judge(raw, OK)
        elif not model.terminal:
            self.judge(raw, 0x6985)
        else:
            model.dialogue = Dialogue("verify", session, ASK)
            self.judge(raw, OK)

    @rule(channel=open_ones)
    def update(self, channel: int) -> None:
        raw = apdu("UPDATE_BPIN", on=channel)
        if not self.reachable(channel, "wallet", raw):
            return
        model, session = self.model, self.model.session(channel)
        if model.tries == 0:
            self.judge(raw, 0x6983)
        elif model.asks(session, "update"):
            self.judge(raw, OK)
        elif not model.terminal or model.dialogue is not None:
            self.judge(raw, 0x6985)
        else:
            model.dialogue = Dialogue("update", session, ASK)
            self.judge(raw, OK)

    @rule(channel=open_ones, bpin=bpins)
    def set_bpin(self, channel: int, bpin: str) -> None:
        raw = apdu("SET_BPIN", on=channel, bpin=bpin.encode())
        if not self.reachable(channel, "wallet", raw):
            return
        if not self.model.shipped_bpin:
            self.judge(raw, 0x6985)
        elif self.model.tries == 0:
            self.judge(raw, 0x6983)
        else:
            self.model.bpin, self.model.shipped_bpin = bpin, False
            self.judge(raw, OK)

    @rule(channel=open_ones)
    def generate(self, channel: int) -> None:
        raw = apdu("GENERATE_SEED", on=channel)
        if not self.reachable(channel, "wallet", raw):
            return
        if self.model.entropy:
            self.judge(raw, 0x6985)
            return
        self.judge(raw, OK)
        self.model.entropy, self.model.slots = self.rng.last, []

    @rule(channel=open_ones)
    def backup(self, channel: int) -> None:
        raw = apdu("EXPORT_SEED", on=channel, key2=KEY2)
        if not self.reachable(channel, "wallet", raw):
            return
        refusal = self.model.bpin_right(self.model.session(channel))
        if refusal is not None or not self.model.entropy:
            self.judge(raw, refusal or 0x6A88)
            return
        assert unseal(self.judge(raw, OK, None), KEY2, rounds=1) == self.model.entropy

    @rule(channel=open_ones, backup=st.sampled_from(BACKUPS), right=st.sampled_from((True, True, False)))
    def restore(self, channel: int, backup: bytes, right: bool) -> None:
        blob = seal(backup, KEY2, rounds=1)
        raw = apdu("RESTORE_SEED", on=channel, key2=KEY2 if right else b"wrong", ciphertext=blob)
        if not self.reachable(channel, "wallet", raw):
            return
        model, session = self.model, self.model.session(channel)
        refusal = None
        if model.entropy and not model.asks(session, "verify"):
            refusal = model.bpin_right(session)
        if refusal is not None or not right:
            self.judge(raw, refusal or 0x6A80)
            return
        self.judge(raw, OK)
        model.entropy, model.slots = backup, []

    @rule(channel=open_ones)
    def challenge(self, channel: int) -> None:
        raw = apdu("GET_CHALLENGE", on=channel)
        if self.reachable(channel, "wallet", raw):
            found = self.judge(raw, OK, None)
            assert found == self.rng.last
            self.model.session(channel).challenge = found

    @rule(channel=open_ones, right=st.booleans())
    def authenticate(self, channel: int, right: bool) -> None:
        session = self.model.sessions.get(channel, Session())
        cryptogram = cmac(session.challenge) if right else bytes(16)
        raw = apdu("EXTERNAL_AUTHENTICATE", on=channel, cryptogram=cryptogram)
        if not self.reachable(channel, "wallet", raw):
            return
        if self.model.opened:
            self.judge(raw, 0x6985)
            return
        known, session.challenge = session.challenge, b""
        if not known or not right:
            self.judge(raw, 0x6300 if known else 0x6984)
            return
        self.judge(raw, OK)
        self.model.opened = session.issuer = True

    @rule(channel=open_ones)
    def write_session_key(self, channel: int) -> None:
        raw = apdu("WRITE_SESSION_KEY", on=channel, key=b"key")
        if self.reachable(channel, "wallet", raw):
            self.judge(raw, OK if self.model.session(channel).issuer else 0x6982)

    # What a wallet app does in one go, since chance alone seldom gets so far.

    @rule(channel=open_ones, wrong=st.sampled_from((0, 0, 0, 1, 2, 11)))
    def type_bpin(self, channel: int, wrong: int) -> None:
        self.tell_of_terminal(0)
        self.select(channel, "wallet")
        self.verify(channel)
        for typed in ["000000"] * wrong + ["right"]:
            self.fetch(0, False)
            self.respond(0, typed, 1)  # the answer to another command first
            self.respond(0, typed, 0)

    @rule(channel=open_ones, again=st.sampled_from(("654321", "654321", "000000")))
    def change_bpin(self, channel: int, again: str) -> None:
        self.select(channel, "wallet")
        self.update(channel)
        for typed in ("right", "654321", again, "right"):
            self.fetch(0, False)
            self.respond(0, typed, 0)

    @rule(channel=open_ones, kind=st.sampled_from(KINDS), slot=st.integers(1, 3))
    def derive_and_sign(self, channel: int, kind: tuple[int, int], slot: int) -> None:
        self.type_bpin(channel, 0)
        self.derive(channel, kind)
        self.sign(channel, slot, kind, True)
        self.backup(channel)

    @rule(channel=open_ones, slot=st.integers(1, 2), answer=st.sampled_from(("right", "right", "\0", None)))
    def approve(self, channel: int, slot: int, answer: str | None) -> None:
        self.type_bpin(channel, 0)
        self.derive(channel, KINDS[0])
        self.sign_transaction(channel, slot, True)
        self.sign_transaction(channel, slot, True)  # an app that does not wait
        for typed in ("right", answer):
            self.result(channel)
            self.fetch(0, False)
            self.respond(0, typed, 0)
        self.result(channel)

    @rule(channel=open_ones, backup=st.sampled_from(BACKUPS), right=st.sampled_from((True, True, False)))
    def restore_at_once(self, channel: int, backup: bytes, right: bool) -> None:
        self.tell_of_terminal(0)
        self.select(channel, "wallet")
        self.verify(channel)
        self.restore(channel, backup, right)

    @rule()
    def ask_without_a_terminal(self) -> None:
        self.reset()
        self.select(0, "wallet")
        self.verify(0)
        self.update(0)

    @rule(channel=open_ones)
    def make_seed(self, channel: int) -> None:
        self.select(channel, "wallet")
        self.generate(channel)
        self.set_bpin(channel, "654321")

    @rule(channel=open_ones, kind=st.sampled_from(KINDS), keys=st.sampled_from((0, 4, 7)))
    def export_all(self, channel: int, kind: tuple[int, int], keys: int) -> None:
        for _ in range(keys):
            self.derive(channel, kind)
        for part in ("FIRST", "NEXT", "NEXT", "NEXT"):
            self.export(channel, part)

    @rule(channel=open_ones, right=st.sampled_from((True, True, False)))
    def open_card(self, channel: int, right: bool) -> None:
        self.challenge(channel)
        self.authenticate(channel, right)
        self.write_session_key(channel)

    @invariant()
    def closed_channels_are_closed(self) -> None:
        for channel in range(CHANNELS):
            if channel not in self.model.selected:
                assert self.card.transmit(apdu("STATUS", on=channel, indication="NONE", form="FCP")) == b"\x68\x81"


def test_card_against_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every status word of at least 2,000 steps. One round of key derivation: its cost is not what is tested here."""
    monkeypatch.setattr(envelope, "ITERATIONS", 1)
    CardMachine.steps = 0
    CardMachine.seen.clear()
    run_state_machine_as_test(
        CardMachine,
        settings=settings(max_examples=120, stateful_step_count=60, deadline=None, derandomize=True),
    )
    print(f"{CardMachine.steps} steps")
    assert CardMachine.steps >= LEAST_STEPS
    # A machine that never got anywhere would prove nothing: each of these was reached.
    for name, sw in REACHED:
        assert CardMachine.seen[COMMANDS[name].ins, sw], f"{name} never answered {sw:04X}"
