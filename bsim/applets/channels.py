"""Opening a secure channel, to the issuer domain or to an applet that it answers for. GlobalPlatform 2.3.1, 10."""

from dataclasses import replace
from typing import Final

from bsim.applets.issuer import IssuerState
from bsim.applets.key_sets import KeySet, KeyType
from bsim.applets.secure import SecureSession
from bsim.crypto.scp import Channel, scp02, scp03
from bsim.store import Cell
from bsim.sw import AUTHENTICATION_FAILED, SW, SwError

_DIVERSIFICATION: Final = bytes(10)
_DEFAULT_VERSION: Final = 0x01


def begin(session: SecureSession, cell: Cell[IssuerState], version: int, host_challenge: bytes) -> bytes:
    """Begin a secure channel with one of the domain's key sets: what INITIALIZE UPDATE answers.

    SwError 6A88 if there is no key set of that version, 6A80 if it takes challenges of another length.
    """
    session.end_channel()
    key_set = cell.value.key_set(version or _DEFAULT_VERSION)
    if key_set is None:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no key set of that version")
    if len(host_challenge) != key_set.challenge:
        raise SwError(SW.WRONG_DATA, "a challenge of another length")
    counter = cell.value.counters.get(key_set.version, 0)
    channel = _channel(key_set, counter, session.applet.aids[0], host_challenge)
    session.begun = key_set.version, channel
    return _DIVERSIFICATION + bytes((key_set.version,)) + key_set.protocol + channel.answer


def open_channel(session: SecureSession, cell: Cell[IssuerState], level: int, authentication: bytes) -> bytes:
    """Judge what EXTERNAL AUTHENTICATE brings, once for each INITIALIZE UPDATE.

    SwError 6985 if that did not come before, 6A80 for a level or length the protocol has not, 6300 if it is wrong.
    """
    begun, session.begun = session.begun, None
    key_set = cell.value.key_set(begun[0]) if begun else None
    if begun is None or key_set is None:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "INITIALIZE UPDATE comes first")
    levels = scp03.LEVELS if key_set.type is KeyType.AES else scp02.LEVELS
    if level not in levels or len(authentication) != 2 * key_set.challenge:
        raise SwError(SW.WRONG_DATA, "not a level or length of this protocol")
    version, channel = begun
    if not channel.authenticate(level, authentication):
        raise SwError(AUTHENTICATION_FAILED, "wrong cryptogram or MAC")
    state = cell.value
    counter = (state.counters.get(version, 0) + 1) % (1 << 8 * key_set.counter_length)
    cell.put(replace(state, counters={**state.counters, version: counter}))
    session.card.commit()  # no channel is granted twice for one challenge
    session.open_channel(channel)
    return b""


def _channel(key_set: KeySet, counter: int, aid: bytes, host_challenge: bytes) -> Channel:
    keys = key_set.keys
    if key_set.type is KeyType.DES:
        return scp02.Scp02(keys, counter, host_challenge, scp02.card_challenge(keys, counter, aid))
    ours = scp03.card_challenge(keys, counter, aid, key_set.challenge)
    return scp03.Scp03(keys, counter, host_challenge, ours)
