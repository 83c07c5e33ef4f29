"""What GlobalPlatform clients do with the issuer domain, channels first: one handler a command."""

from dataclasses import replace
from enum import IntEnum
from typing import Final

from bsim import tlv
from bsim.applets import (
    applications,  # noqa: F401 - binds its handlers
    channels,
    content,
)
from bsim.applets.installed import CardState
from bsim.applets.issuer import IssuerSession, issuer
from bsim.applets.key_sets import SECRET_PARTS, KeySet, KeyType, acceptable
from bsim.crypto.scp import Keys
from bsim.sw import SW, SwError


class Object(IntEnum):
    """Data objects GET DATA answers. GlobalPlatform 2.3.1, 11.3.3.1."""

    ISSUER_NUMBER = 0x42
    CARD_NUMBER = 0x45
    CARD_DATA = 0x66
    CAPABILITIES = 0x67
    SEQUENCE_COUNTER = 0xC1
    DIVERSIFICATION = 0xCF
    KEY_INFORMATION = 0xE0


class First(IntEnum):
    """Which key PUT KEY begins with: 80 says that more follow."""

    ALL_THREE = 0x81


class Block(IntEnum):
    """Whether more blocks of STORE DATA follow, and how their data are written."""

    MORE = 0x00
    MORE_TLV = 0x10
    LAST = 0x80
    LAST_TLV = 0x90


@issuer.condition("card_in_use")
def card_in_use(ctx: IssuerSession) -> bool:
    """A terminated card only tells what it was."""
    return ctx.cell.value.card_state is not CardState.TERMINATED


@issuer.right("secure_channel")
def secure_channel(ctx: IssuerSession) -> SW | None:
    """EXTERNAL AUTHENTICATE succeeded since the domain was selected."""
    return None if ctx.secure else SW.SECURITY_STATUS_NOT_SATISFIED


@issuer.handles("GP_GET_DATA")
def get_data(ctx: IssuerSession, object: Object) -> bytes:
    """One of the domain's data objects."""
    return tlv.encode(object, content.data_object(ctx.cell.value, object))


@issuer.handles("GP_GET_CPLC")
def get_cplc(_ctx: IssuerSession) -> bytes:
    """Card production life cycle data."""
    return content.production_data()


@issuer.handles("GP_INITIALIZE_UPDATE")
def initialize_update(ctx: IssuerSession, key_version: int, key_identifier: int, host_challenge: bytes) -> bytes:  # noqa: ARG001 - a key set has one identifier
    """Answer the host's challenge, and wait for its answer to ours."""
    return channels.begin(ctx, ctx.cell, key_version, host_challenge)


@issuer.handles("GP_EXTERNAL_AUTHENTICATE")
def external_authenticate(ctx: IssuerSession, level: int, authentication: bytes) -> bytes:
    """The channel is open once the host has answered the challenge; one attempt for each."""
    return channels.open_channel(ctx, ctx.cell, level, authentication)


@issuer.handles("GP_PUT_KEY")
def put_key(ctx: IssuerSession, replaces: int, first: First, keys: bytes) -> bytes:  # noqa: ARG001 - there is one way
    """A whole key set, new or in place of another."""
    state, version = ctx.cell.value, keys[0]
    taken = version != replaces and state.key_set(version) is not None
    if taken or (replaces and state.key_set(replaces) is None):
        raise SwError(SW.REFERENCE_DATA_NOT_USABLE, "the version to replace is missing, or the new one is there")
    new = _key_set(ctx, version, keys[1:])
    kept = tuple(one for one in state.key_sets if one.version != version)
    counters = {key: value for key, value in state.counters.items() if key != version}
    ctx.cell.put(replace(state, key_sets=(*kept, new), counters=counters))
    return bytes((version,)) + new.check_values


def _key_set(ctx: IssuerSession, version: int, encoded: bytes) -> KeySet:
    """Decrypt three keys and check them; SwError 6A80 for the least fault."""
    keys, checks, position = [], b"", 0
    for _ in range(SECRET_PARTS):
        key, check, position = _key(ctx, version, encoded, position)
        keys.append(key)
        checks += check
    if position != len(encoded) or not acceptable(version, {len(key) for key in keys}):
        raise SwError(SW.WRONG_DATA, "not three keys that this version may have")
    new = KeySet(version, Keys(*keys))
    if checks != new.check_values:
        raise SwError(SW.WRONG_DATA, "wrong key check value")
    return new


def _key(ctx: IssuerSession, version: int, encoded: bytes, position: int) -> tuple[bytes, bytes, int]:
    """One key of PUT KEY: the key, its check value, and where the next begins. GlobalPlatform 2.3.1 table 11-68."""
    kind, block = bytes(encoded[position : position + 2]), b""
    end = position + 2 + (kind[1] if len(kind) == 2 else 0)
    block, check = encoded[position + 2 : end], encoded[end + 1 : end + 4]
    wanted = KeySet(version, Keys(b"", b"", b"")).type
    if len(kind) != 2 or kind[0] != wanted or encoded[end : end + 1] != b"\x03" or len(check) != 3:
        raise SwError(SW.WRONG_DATA, "malformed key, or one of another kind")
    length = kind[1]
    if wanted is KeyType.AES:  # the encrypted key comes with the length of the key before it
        length, block = block[0] if block else 0, block[1:]
    if not block or len(block) % 16 or length > len(block) or ctx.secure is None:
        raise SwError(SW.WRONG_DATA, "an encrypted key has whole blocks")
    return ctx.secure.decrypt_key(block)[:length], check, end + 4


@issuer.handles("GP_STORE_DATA")
def store_data(ctx: IssuerSession, block: Block, number: int, objects: bytes) -> bytes:
    """Blocks come in order, each with whole data objects."""
    if number != ctx.blocks:
        ctx.blocks = 0
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "a block is out of order")
    ctx.blocks = 0 if block in {Block.LAST, Block.LAST_TLV} else number + 1
    ctx.cell.put(content.with_objects(ctx.cell.value, tlv.parse(objects)))
    return b""


COMMANDS: Final = issuer.compile("globalplatform")
