"""Whether answers agree with each other and with the standards: signatures, keys, segments, forms of one command."""

from dataclasses import replace
from typing import Any, Final

from bsim.apdu import CommandApdu, body
from bsim.applets.keys import Keys as CardKeys
from bsim.applets.wallet import public_key_tlv
from bsim.applets.wallet_state import Slot, WalletState
from bsim.card.freeze import Snapshot
from bsim.crypto import ecdsa
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.verify import parse_der, verify
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.grammar import ended_well
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.steps import PLAIN, SECURES, SEND, Step
from bsim.fuzz.watch import Hang
from bsim.sw import SW, SwError

_ORACLE: Final = "metamorphic"
_ONE_SIGNATURE: Final = frozenset({Algorithm.SECP256K1, Algorithm.ED25519})
_REMEMBERED: Final = 20_000
FORMS: Final = (" extended", " in a chain")
"""How the rules of `forms` end."""


class Keys:
    """What a wallet's keys and signatures must be, by an engine that is not the card's."""

    def __init__(self) -> None:
        self._derived: Final = CardKeys(ecdsa.engine("cryptography"))
        self._signatures: dict[tuple[bytes, int, Slot, bytes], bytes] = {}
        self._public: dict[tuple[bytes, int, int, Algorithm], bytes] = {}

    def public(self, state: WalletState, number: int) -> bytes:
        """Answer the public key of a slot (from 1)."""
        slot = state.slots[number - 1]
        key = state.seed, slot.coin_type, number, slot.algorithm
        if key not in self._public:
            self._make_room(self._public)
            self._public[key] = self._derived.public_key(*key)
        return self._public[key]

    def signature(self, state: WalletState, number: int, digest: bytes) -> bytes:
        """Answer the one signature RFC 6979 (s in the lower half) or RFC 8032 allows."""
        key = state.seed, number, state.slots[number - 1], digest
        if key not in self._signatures:
            self._make_room(self._signatures)
            made = self._derived.derive(state, number)
            if made is None:
                raise ValueError("no such slot")
            self._signatures[key] = made.sign(digest)
        return self._signatures[key]

    def _make_room(self, kept: dict[Any, bytes]) -> None:
        self._derived.wipe()
        if len(kept) > _REMEMBERED:
            kept.clear()


def metamorphic(rig: EmulatedRig, keys: Keys) -> Hit | None:
    """Judge what signing, deriving, exporting and restoring answered and did."""
    entry = rig.entry
    if entry is None or not ended_well(rig.sw) or rig.whole is None or not rig.response or rig.over_t0:
        return None
    judge = _JUDGES.get(entry.name)
    if judge is None:
        return None
    before = next((state for state in rig.states if isinstance(state, WalletState)), None)
    after = next((state for state in rig.uicc.states if isinstance(state, WalletState)), None)
    return judge(rig, keys, before, after) if before is not None and after is not None else None


def _signed(rig: EmulatedRig, keys: Keys, before: WalletState, _after: WalletState) -> Hit | None:  # noqa: PLR0911
    raw = rig.whole
    if raw is None:
        return None
    try:
        start, end, _ = body(raw)
    except SwError:
        return None
    number, digest = raw[start + 4], raw[start + 5 : end]
    if not 1 <= number <= len(before.slots):
        return Hit(
            _ORACLE, "a slot that is empty signs", f"SIGN answered {rig.sw:04X} for slot {number}, which is empty"
        )
    slot = before.slots[number - 1]
    if slot.algorithm not in _ONE_SIGNATURE or rig.data == keys.signature(before, number, digest):
        return None
    if slot.algorithm is not Algorithm.SECP256K1:
        return Hit(_ORACLE, "signature", "an Ed25519 signature that is not RFC 8032's")
    try:
        _, s = parse_der(rig.data)
    except ValueError as fault:
        return Hit(_ORACLE, "signature form", f"SIGN answered no DER signature: {fault}")
    if not verify(keys.public(before, number), digest, rig.data):
        return Hit(_ORACLE, "signature", "a signature that the slot's public key does not verify")
    if s > ecdsa.ORDER // 2:
        return Hit(_ORACLE, "high s", "a signature with s in the upper half")
    return Hit(_ORACLE, "nonce", "a signature whose nonce is not RFC 6979's")


def _derived(_rig: EmulatedRig, keys: Keys, before: WalletState, after: WalletState) -> Hit | None:
    if len(after.slots) != len(before.slots) + 1 or after.slots[:-1] != before.slots:
        return Hit(_ORACLE, "slots", f"DERIVE KEY led from {len(before.slots)} slots to {len(after.slots)} others")
    number = len(after.slots)
    return (
        None
        if after.slots[-1].public_key == keys.public(after, number)
        else Hit(_ORACLE, "public key", f"slot {number} has another key")
    )


def _restored(_rig: EmulatedRig, _keys: Keys, _before: WalletState, after: WalletState) -> Hit | None:
    return Hit(_ORACLE, "slots survive", "RESTORE SEED left slots behind") if after.slots else None


def _exported(rig: EmulatedRig, _keys: Keys, before: WalletState, _after: WalletState) -> Hit | None:
    """Segments put together are the objects of all slots, as they were when the first was asked for."""
    shadow, channel = rig.shadow, rig.channel
    left = shadow.stream
    if rig.raw[3] == 0:
        left = b"".join(public_key_tlv(at, slot) for at, slot in enumerate(before.slots, 1))
    if left is None:
        return None
    if rig.data != left[: len(rig.data)]:
        return Hit(_ORACLE, "segment", "the segments of EXPORT PUBKEYS do not make the objects of all slots")
    shadow.streams[channel] = left = left[len(rig.data) :]
    if (rig.sw == SW.MORE_DATA) != bool(left):
        return Hit(_ORACLE, "segment", f"EXPORT PUBKEYS answered {rig.sw:04X} with {len(left)} bytes to come")
    return None


_JUDGES: Final = {"SIGN": _signed, "DERIVE_KEY": _derived, "RESTORE_SEED": _restored, "EXPORT_PUBKEYS": _exported}


def forms(rig: EmulatedRig, step: Step, before: Snapshot) -> Hit | None:
    """The same command as an extended APDU, or in a chain, from the same state: same answer, same state after.

    The last step of `rig` was this one; the card is left as it was after it.
    """
    if step[0] != SEND or rig.entry is None or not rig.response or rig.whole is not rig.raw or rig.over_t0:
        return None
    others, link = _others(rig), SECURES if rig.secured is not None else PLAIN
    answer, state, now, raw, entry = rig.response, rig.state(), rig.snapshot(), rig.raw, rig.entry
    hit = None
    for title, commands in others:
        before.restore()
        try:
            for command in commands:
                rig.do((SEND, command, link))
                if not ended_well(rig.sw):
                    break  # a host stops where a part of its chain is refused
        except Hang as hang:
            hit = Hit("hang", f"{hang.where} {title}", f"{entry.name} {title} did not end: it was in {hang.where}")
            break
        if rig.response != answer:
            words = f"{entry.name} {title} answered {rig.response.hex().upper()}, not {answer.hex().upper()}"
            hit = Hit(_ORACLE, f"{entry.name} {title}", words)
            break
        if rig.state() != state:
            words = f"{entry.name} {title} answered the same, and led to another state"
            hit = Hit(_ORACLE, f"another state {title}", words)
            break
    now.restore()
    rig.raw, rig.response, rig.entry = raw, answer, entry
    return hit


def _others(rig: EmulatedRig) -> list[tuple[str, list[bytes]]]:
    raw, entry = rig.raw, rig.entry
    try:
        start, end, le = body(raw)
    except SwError:
        return []
    data, found = raw[start:end], []
    if not data or entry is None or not entry.fits(raw):
        return []
    if raw[4]:
        tail = b"" if le is None else (le & 0xFFFF).to_bytes(2, "big")
        found.append(("extended", [raw[:4] + b"\0" + len(data).to_bytes(2, "big") + data + tail]))
    chains = entry.command.chaining and rig.secured is None  # what is secured is not chained
    if chains and len(data) > 1 and le is None and not raw[0] & 0xE0 & 0x7F:
        half = min(len(data) // 2, 255)
        if len(data) - half <= 255:
            whole = CommandApdu(raw[0], raw[1], raw[2], raw[3])
            first = replace(whole, cla=raw[0] | 0x10, data=data[:half]).encode()
            found.append(("in a chain", [first, replace(whole, data=data[half:]).encode()]))
    return found
