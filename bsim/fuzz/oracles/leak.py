"""Whether a secret of the card is in what it answers or logs. The cards' secrets are canaries: a hit is no chance.

What is secret is told by the code itself: what `repr` does not show of a persistent state, and keys derived from it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import compress
from operator import is_not
from typing import Final, NamedTuple

from bsim.applets.wallet_session import WalletSession
from bsim.applets.wallet_state import WalletState
from bsim.card.insides import fields_of
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.derive import Bip32, Slip10Ed25519
from bsim.crypto.scp import Channel
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.oracles.crash import CrashLog
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.rig import Rig
from bsim.profiles import default_engine

WINDOW: Final = 8
_CODE: Final = 8
_LEAST: Final = 6  # shorter secrets, such as PINs of four digits, would be found by chance
_VARIETY: Final = 4  # different bytes a window has, or it is filling
_DERIVED: Final = frozenset({Algorithm.SECP256K1, Algorithm.ED25519})
_REMEMBERED: Final = 4096
_PART: Final = 4
_DIGITS: Final = re.compile("[0-9A-Fa-f]+")
_STRIDE: Final = WINDOW - _PART + 1  # so far apart, one of the parts that are looked at is inside of every window


class _Cut(NamedTuple):
    """Secrets, cut: windows, all parts of these, and secrets that are shorter than a window."""

    windows: dict[bytes, str]
    parts: frozenset[bytes]
    short: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True)
class _ChannelKeys:
    """The session keys of a secure channel, hidden as those of a state are."""

    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    rmac: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Given:
    """A session key that the host chose: no canary, so it may be in an answer by right, but never in the log."""

    session_key: bytes = field(repr=False)


class Secrets:
    """The secrets of cards, cut into windows that are looked for. Kept by value: most states share theirs."""

    def __init__(self) -> None:
        self._of_state: dict[int, tuple[object, _Cut]] = {}
        self._of_value: dict[tuple[tuple[str, bytes], ...], _Cut] = {}
        self._keys: dict[tuple[bytes, int, int, Algorithm], bytes] = {}

    def find(self, rig: Rig, data: bytes, *, logged: bool = False) -> str:
        """Name the secret a piece of which is in some bytes, answered or logged; nothing if there is none."""
        looked_at = [data[at : at + _PART] for at in range(0, len(data) - _PART + 1, _STRIDE)]
        for state in _secretive(rig, logged=logged):
            known = self._of_state.get(id(state))
            windows, parts, short = known[1] if known is not None and known[0] is state else self._windows(state)
            for secret, name in short:
                if secret in data:
                    return name
            if not parts.isdisjoint(looked_at):
                for at in range(len(data) - WINDOW + 1):
                    if data[at : at + WINDOW] in windows:
                        return windows[data[at : at + WINDOW]]
        return ""

    def _windows(self, state: object) -> _Cut:
        if len(self._of_state) > _REMEMBERED:
            self._of_state.clear()
        secrets = tuple(self._secrets(state))
        found = self._of_value.get(secrets)
        if found is None:
            if len(self._of_value) > _REMEMBERED:
                self._of_value.clear()
            found = self._of_value[secrets] = _cut(secrets)
        self._of_state[id(state)] = state, found
        return found

    def _secrets(self, state: object) -> Iterator[tuple[str, bytes]]:
        yield from _hidden(state)
        if isinstance(state, WalletState) and state.seed:
            for number, slot in enumerate(state.slots[:8], 1):
                if slot.algorithm not in _DERIVED:
                    continue
                yield "key", self._key(state.seed, slot.coin_type, number, slot.algorithm)

    def _key(self, seed: bytes, coin_type: int, number: int, algorithm: Algorithm) -> bytes:
        key = seed, coin_type, number, algorithm
        if key not in self._keys:
            scheme = Bip32(default_engine()) if algorithm is Algorithm.SECP256K1 else Slip10Ed25519()
            with scheme.derive(seed, scheme.account_path(coin_type, number)) as node:
                self._keys[key] = bytes(node.secret)
        return self._keys[key]


def secret_leak(rig: Rig, secrets: Secrets, log: CrashLog) -> Hit | None:
    """A window of eight bytes of a secret in response data (proactive commands are such) or in a log entry."""
    if len(rig.data) >= _LEAST:
        name = secrets.find(rig, rig.data)
        if name:
            command = rig.entry.name if rig.entry is not None else "a command that is not declared"
            return Hit("secret-leak", f"{name} in {command}", f"{command} answered bytes of the card's {name}")
    if log.text:
        text, log.text = log.text, ""
        found = (secrets.find(rig, data, logged=True) for data in (text.encode(), *_unhex(text)))
        name = next(filter(None, found), "")
        if name:
            return Hit("secret-leak", f"{name} in the log", f"the card logged bytes of its {name}")
    return None


def codes(state: object) -> Iterator[bytes]:
    """Answer the hidden values of a state that are short enough to be typed: PINs and what unblocks them."""
    return (value for _, value in _hidden(state) if len(value) <= _CODE)


def _secretive(rig: Rig, *, logged: bool) -> Iterator[object]:
    """What has secrets: states before the step, those that are new since, and sessions before and after."""
    yield from rig.states
    if not isinstance(rig, EmulatedRig):
        return
    before, now = rig.states, rig.uicc.states
    yield from compress(now, map(is_not, now, before)) if len(now) == len(before) else now
    for channel in {*rig.channels, *rig.secure_channels()}:
        yield _channel_keys(channel)
    if logged:
        sessions = map(rig.uicc.session, rig.uicc.open_channels)
        yield from (_Given(one.session_key) for one in sessions if isinstance(one, WalletSession))


def _channel_keys(channel: Channel) -> _ChannelKeys:
    """Both protocols name their keys alike; SCP02 has none of its own for answers."""
    return _ChannelKeys(*(getattr(channel, name, b"") for name in ("_enc", "_mac", "_rmac")))


def _hidden(state: object) -> Iterator[tuple[str, bytes]]:
    """What `repr` does not show: by the project's rule that is what is secret."""
    for one in fields_of(type(state)):
        value = getattr(state, one.name)
        if isinstance(value, bytes):
            if not one.repr and len(value) >= _LEAST:
                yield one.name, value
        elif isinstance(value, tuple | list):
            for inner in value:
                yield from _hidden(inner)
        else:
            yield from _hidden(value)


def _cut(secrets: tuple[tuple[str, bytes], ...]) -> _Cut:
    windows: dict[bytes, str] = {}
    for name, value in secrets:
        for at in range(len(value) - WINDOW + 1):
            window = value[at : at + WINDOW]
            if len(set(window)) >= _VARIETY:
                windows[window] = name
    short = tuple((value, name) for name, value in secrets if len(value) < WINDOW and len(set(value)) >= _VARIETY)
    parts = frozenset(window[at : at + _PART] for window in windows for at in range(_STRIDE))
    return _Cut(windows, parts, short)


def _unhex(text: str) -> Iterator[bytes]:
    """Read hex digits, all and each run alone, from the first and the second: letters that stand before may be some."""
    runs = _DIGITS.findall(text)
    for digits in ("".join(runs), *runs):
        for at in (0, 1):
            yield bytes.fromhex(digits[at : at + (len(digits) - at) // 2 * 2])
