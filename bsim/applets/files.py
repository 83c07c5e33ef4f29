"""What is done to the content of elementary files: bytes, records, counters, data objects. ETSI TS 102 221 11."""

from enum import IntEnum
from typing import Final

from bsim import tlv
from bsim.applets.file_session import FileSession
from bsim.applets.file_tree import File
from bsim.applets.session import Response
from bsim.applets.usim import usim
from bsim.spec.access import Mode
from bsim.spec.files import Structure
from bsim.sw import SW, SwError, exact_length

_SFI_GIVEN: Final = 0x80
_SFI: Final = 0x1F
_NEXT, _PREVIOUS, _ABSOLUTE = 2, 3, 4
_BLOCK: Final = 255
_RECORDS: Final = (Structure.LINEAR, Structure.CYCLIC)


class Block(IntEnum):
    """Which block of a data object RETRIEVE DATA and SET DATA carry, of the current file."""

    NEXT = 0x00
    FIRST = 0x80


@usim.handles("READ_BINARY")
def read_binary(ctx: FileSession, high: int, low: int, le: int) -> bytes:
    """Bytes of a transparent file, as many as there are up to Le. ETSI TS 102 221 11.1.3."""
    path, offset = binary(ctx, high, low, Mode.READ)
    return ctx.tree.content(path)[offset : offset + le]


@usim.handles("UPDATE_BINARY")
def update_binary(ctx: FileSession, high: int, low: int, data: bytes) -> bytes:
    """Replace bytes of a transparent file. ETSI TS 102 221 11.1.4."""
    path, offset = binary(ctx, high, low, Mode.UPDATE)
    old = ctx.tree.content(path)
    if offset + len(data) > len(old):
        raise SwError(SW.WRONG_LENGTH, "the data go beyond the end of the file")
    ctx.tree.write(path, old[:offset] + data + old[offset + len(data) :])
    return b""


@usim.handles("READ_RECORD")
def read_record(ctx: FileSession, number: int, control: int, le: int) -> bytes:
    """A record, whole. ETSI TS 102 221 11.1.5."""
    path, file = of_structure(ctx, _RECORDS, Mode.READ, control >> 3)
    at = record_number(ctx, file, number, control & 7)
    if le < file.record:
        raise SwError(int.from_bytes(exact_length(file.record), "big"), "a record is read whole")
    return ctx.tree.content(path)[(at - 1) * file.record : at * file.record]


@usim.handles("UPDATE_RECORD")
def update_record(ctx: FileSession, number: int, control: int, record: bytes) -> bytes:
    """Replace a record; of a cyclic file the oldest, which becomes the first. ETSI TS 102 221 11.1.6."""
    path, file = of_structure(ctx, _RECORDS, Mode.UPDATE, control >> 3)
    if len(record) != file.record:
        raise SwError(SW.WRONG_LENGTH, "a record is written whole")
    if file.structure is Structure.CYCLIC:
        if control & 7 != _PREVIOUS:
            raise SwError(SW.WRONG_FILE_STRUCTURE, "a cyclic file is written with PREVIOUS")
        push(ctx, path, record)
        return b""
    at = record_number(ctx, file, number, control & 7)
    old = ctx.tree.content(path)
    ctx.tree.write(path, old[: (at - 1) * file.record] + record + old[at * file.record :])
    return b""


@usim.handles("SEARCH_RECORD")
def search_record(ctx: FileSession, number: int, control: int, pattern: bytes) -> bytes:
    """The numbers of the records that have a pattern. ETSI TS 102 221 11.1.7."""
    path, file = of_structure(ctx, _RECORDS, Mode.READ, control >> 3)
    direction, start, where = control & 7, number, (0, False)
    if direction > 5:  # enhanced: two bytes say the direction, and where in the record to begin
        if len(pattern) < 3:
            raise SwError(SW.WRONG_LENGTH, "an enhanced search has a pattern behind its indication")
        indication, where, pattern = pattern[0], (pattern[1], bool(pattern[0] & 8)), pattern[2:]
        direction = indication & 7
        if direction in {6, 7}:
            start = ctx.record + (1 if direction == 6 else -1)
    if not 4 <= direction <= 7:
        raise SwError(SW.WRONG_DATA, "no such kind of search")
    found = matches(ctx.tree.content(path), file, pattern, _order(ctx, file, start, direction), where)
    if not found:
        raise SwError(SW.UNSUCCESSFUL_SEARCH, "no record has the pattern")
    ctx.record = found[0]
    return bytes(found)


@usim.handles("INCREASE")
def increase(ctx: FileSession, sfi: int, value: bytes) -> bytes:
    """Add to the newest record of a cyclic file; answers the sum and what was added. ETSI TS 102 221 11.1.8."""
    path, file = of_structure(ctx, (Structure.CYCLIC,), Mode.INCREASE, sfi & _SFI)
    return add(ctx, path, file, value) + value


@usim.handles("RETRIEVE_DATA")
def retrieve_data(ctx: FileSession, block: Block, tag: bytes) -> bytes | Response:
    """A data object of a BER-TLV file, in blocks. ETSI TS 102 221 11.3.1."""
    path, _ = of_structure(ctx, (Structure.BER_TLV,), Mode.READ)
    if block is Block.FIRST:
        ctx.outgoing = next((one.encode() for one in objects(ctx, path) if _tag(one) == tag), b"")
        if not ctx.outgoing:
            raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no data object with this tag")
    elif not ctx.outgoing:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "no block is left")
    part, ctx.outgoing = ctx.outgoing[:_BLOCK], ctx.outgoing[_BLOCK:]
    return Response(part, SW.MORE_BLOCKS) if ctx.outgoing else part


@usim.handles("SET_DATA")
def set_data(ctx: FileSession, block: Block, data: bytes) -> bytes | Response:
    """Write a data object of a BER-TLV file, in blocks; one without a value is taken away. ETSI TS 102 221 11.3.2."""
    path, file = of_structure(ctx, (Structure.BER_TLV,), Mode.UPDATE)
    if block is Block.NEXT and not ctx.incoming:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "no data object was begun")
    whole = data if block is Block.FIRST else ctx.incoming + data
    ctx.incoming = b""
    try:
        (new,) = tlv.parse(whole)
    except (tlv.TlvError, ValueError):
        if len(whole) > file.size + 5:
            raise SwError(SW.NOT_ENOUGH_MEMORY, "the data object is larger than the file") from None
        ctx.incoming = whole  # cut short: the rest is to come
        return Response(b"", SW.MORE_BLOCKS_EXPECTED)
    kept = b"".join(one.encode() for one in objects(ctx, path) if one.tag != new.tag)
    kept += new.encode() if new.value else b""
    if len(kept) > file.size:
        raise SwError(SW.NOT_ENOUGH_MEMORY, "the file is full")
    ctx.tree.write(path, kept)
    return b""


# What class A0 does as well.


def of_structure(ctx: FileSession, structures: tuple[Structure, ...], mode: Mode, sfi: int = 0) -> tuple[bytes, File]:
    """Answer the current file, or the one of a short identifier; SwError 6981, 6982, 6984 or 6986."""
    path = ctx.elementary(sfi)
    file = ctx.tree.file(path)
    if file.structure not in structures:
        raise SwError(SW.WRONG_FILE_STRUCTURE, "the file has another structure")
    ctx.permit(path, mode)
    return path, file


def binary(ctx: FileSession, high: int, low: int, mode: Mode) -> tuple[bytes, int]:
    """Answer the transparent file and the offset that P1 and P2 mean. ETSI TS 102 221 table 11.10."""
    sfi, offset = (high & _SFI, low) if high & _SFI_GIVEN else (0, high << 8 | low)
    path, file = of_structure(ctx, (Structure.TRANSPARENT,), mode, sfi)
    if offset >= file.size:
        raise SwError(SW.WRONG_OFFSET, "the offset is beyond the end of the file")
    return path, offset


def record_number(ctx: FileSession, file: File, number: int, mode: int) -> int:
    """Answer which record is meant, and make it the current one where the mode says so. ETSI TS 102 221 11.1.5.1."""
    last = file.size // file.record
    if mode == _ABSOLUTE:
        found = number or ctx.record
    elif number:
        raise SwError(SW.WRONG_P1_P2, "the next and the previous record have no number")
    else:
        step = 1 if mode == _NEXT else -1
        found = ctx.record + step if ctx.record else (1 if mode == _NEXT else last)
        if file.structure is Structure.CYCLIC:
            found = (found - 1) % last + 1
    if not 1 <= found <= last:
        raise SwError(SW.RECORD_NOT_FOUND, "no such record")
    if mode != _ABSOLUTE:
        ctx.record = found
    return found


def push(ctx: FileSession, path: bytes, record: bytes) -> None:
    """Write the newest record of a cyclic file, over the oldest."""
    ctx.tree.write(path, record + ctx.tree.content(path)[: -len(record)])
    ctx.record = 1


def add(ctx: FileSession, path: bytes, file: File, value: bytes) -> bytes:
    """Add to the newest record of a cyclic file; SwError 9850 where it would not hold the sum."""
    total = int.from_bytes(ctx.tree.content(path)[: file.record], "big") + int.from_bytes(value, "big")
    if total >> 8 * file.record:
        raise SwError(SW.MAXIMUM_REACHED, "the counter would overflow")
    record = total.to_bytes(file.record, "big")
    push(ctx, path, record)
    return record


def matches(content: bytes, file: File, pattern: bytes, order: range, where: tuple[int, bool]) -> list[int]:
    """Answer the records with a pattern, from an offset, or from behind the first byte of a value."""
    place, by_value = where
    found = []
    for number in order:
        record = content[(number - 1) * file.record : number * file.record]
        start = record.find(place) + 1 if by_value else place
        if pattern in record[start:] and not (by_value and not start):
            found.append(number)
    return found


def objects(ctx: FileSession, path: bytes) -> list[tlv.Tlv]:
    """Answer the data objects of a BER-TLV file."""
    return tlv.parse(ctx.tree.content(path))


def _order(ctx: FileSession, file: File, start: int, direction: int) -> range:
    """The numbers to look at, from a record on; 0 means the current one."""
    last = file.size // file.record
    start = start or ctx.record or 1
    if not 1 <= start <= last:
        raise SwError(SW.RECORD_NOT_FOUND, "no such record")
    return range(start, last + 1) if direction in {4, 6} else range(start, 0, -1)


def _tag(one: tlv.Tlv) -> bytes:
    return one.tag.to_bytes((one.tag.bit_length() + 7) // 8, "big")
