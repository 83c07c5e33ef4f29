"""Making, removing and switching files, which an administrator's PIN allows. ETSI TS 102 222; TS 102 221 11.1."""

from dataclasses import replace
from typing import Final

from bsim import tlv
from bsim.applets.file_session import FileSession
from bsim.applets.file_tree import File
from bsim.applets.usim import usim
from bsim.spec.access import Mode
from bsim.spec.files import MF, Structure
from bsim.sw import SW, SwError

_FCP: Final = 0x62
_DESCRIPTOR, _FILE_ID, _LIFE_CYCLE, _RULE, _SIZE, _SFI = 0x82, 0x83, 0x8A, 0x8B, 0x80, 0x88
_MOST_SIZE: Final = 0x7FFF
_MOST_RECORDS: Final = 254


@usim.handles("CREATE_FILE")
def create_file(ctx: FileSession, template: bytes) -> bytes:
    """Make a file in the current directory, and select it. ETSI TS 102 222 6.3."""
    parts = _template(template)
    file = _file(parts)
    mode = Mode.CREATE_DIRECTORY if file.directory else Mode.CREATE_FILE
    ctx.permit(ctx.directory, mode)
    path = ctx.directory + parts[_FILE_ID]
    if parts[_FILE_ID] in {MF, b"\x7f\xff"} or ctx.tree.get(path) is not None:
        raise SwError(SW.FILE_EXISTS, "there is such a file already")
    if file.sfi and any(ctx.tree.file(child).sfi == file.sfi for child in ctx.tree.children(ctx.directory)):
        if _SFI in parts:
            raise SwError(SW.FILE_EXISTS, "the short file identifier is in use")
        file = replace(file, sfi=0)
    ctx.tree.put(path, file)
    ctx.enter(path)
    return b""


@usim.handles("DELETE_FILE")
def delete_file(ctx: FileSession, identifier: bytes) -> bytes:
    """Remove a file of the current directory, with all that is in it. ETSI TS 102 222 6.4."""
    path = _child(ctx, identifier)
    if ctx.tree.file(path).directory:
        ctx.permit(ctx.directory, Mode.DELETE_CHILD)
        if any(not _deletable(ctx, child) for child in ctx.tree.children(path)) or ctx.tree.aid(path):
            raise SwError(SW.SECURITY_STATUS_NOT_SATISFIED, "what is in it cannot be deleted")
    else:
        ctx.permit(path, Mode.DELETE)
    ctx.tree.put(path, None)
    ctx.file = None
    return b""


@usim.handles("RESIZE_FILE")
def resize_file(ctx: FileSession, template: bytes) -> bytes:
    """Give a file of the current directory another size; what is new in it is FF. ETSI TS 102 222 6.10."""
    parts = _template(template)
    if not parts.keys() >= {_FILE_ID, _SIZE}:
        raise SwError(SW.WRONG_DATA, "a file identifier and a size are wanted")
    path = _child(ctx, parts[_FILE_ID])
    file = ctx.tree.file(path)
    size = int.from_bytes(parts[_SIZE], "big")
    if file.directory or file.structure is Structure.CYCLIC:
        raise SwError(SW.WRONG_FILE_STRUCTURE, "only transparent, linear and BER-TLV files have another size")
    ctx.permit(path, Mode.RESIZE)
    old = ctx.tree.content(path)
    _check_size(file.structure, size, file.record)
    if file.structure is Structure.BER_TLV:
        if size < len(old):
            raise SwError(SW.NOT_ENOUGH_MEMORY, "the file holds more than that")
        ctx.tree.put(path, replace(file, size=size, content=old))
    else:
        ctx.tree.put(path, replace(file, size=size, content=old[:size].ljust(size, b"\xff")))
    return b""


@usim.handles("ACTIVATE_FILE")
def activate_file(ctx: FileSession, identifier: bytes) -> bytes:
    """Let the current file, or one of the current directory, be used again. ETSI TS 102 221 11.1.15."""
    switch(ctx, identifier, active=True)
    return b""


@usim.handles("DEACTIVATE_FILE")
def deactivate_file(ctx: FileSession, identifier: bytes) -> bytes:
    """Keep the current file, or one of the current directory, from being used. ETSI TS 102 221 11.1.14."""
    switch(ctx, identifier, active=False)
    return b""


def switch(ctx: FileSession, identifier: bytes, *, active: bool) -> None:
    """Activate or deactivate a file; SwError 6982 if its rule does not allow that."""
    if identifier:
        path = _child(ctx, identifier)
    elif ctx.file is not None and ctx.tree.get(ctx.file) is not None:
        path = ctx.file
    else:
        raise SwError(SW.COMMAND_NOT_ALLOWED, "no elementary file is selected")
    ctx.permit(path, Mode.ACTIVATE if active else Mode.DEACTIVATE)
    ctx.tree.put(path, replace(ctx.tree.file(path), active=active))


def _deletable(ctx: FileSession, path: bytes) -> bool:
    if ctx.tree.file(path).directory:
        return all(_deletable(ctx, child) for child in ctx.tree.children(path))
    return ctx.condition(path, Mode.DELETE).holds(ctx.pins.holds)


def _child(ctx: FileSession, identifier: bytes) -> bytes:
    if len(identifier) != 2:
        raise SwError(SW.WRONG_LENGTH, "a file identifier has two bytes")
    path = ctx.directory + identifier
    ctx.tree.file(path)
    return path


def _template(raw: bytes) -> dict[int, bytes]:
    outer = tlv.parse(raw)
    if len(outer) != 1 or outer[0].tag != _FCP:
        raise SwError(SW.WRONG_DATA, "an FCP template is wanted")
    return {part.tag: part.value for part in tlv.parse(outer[0].value)}


def _file(parts: dict[int, bytes]) -> File:
    """Read a template of CREATE FILE. ETSI TS 102 222 6.3.2.2."""
    if not parts.keys() >= {_DESCRIPTOR, _FILE_ID, _LIFE_CYCLE, _RULE} or len(parts[_FILE_ID]) != 2:
        raise SwError(SW.WRONG_DATA, "descriptor, identifier, life cycle and access rule are wanted")
    descriptor, rule = parts[_DESCRIPTOR], parts[_RULE]
    if len(rule) != 3 or descriptor[:1] not in {bytes((one,)) for one in Structure}:
        raise SwError(SW.WRONG_DATA, "a record of EF.ARR and a structure that is known here are wanted")
    structure = Structure(descriptor[0])
    active = parts[_LIFE_CYCLE] != b"\x04"  # creation and initialisation end with this command here
    if structure is Structure.DIRECTORY:
        return File(structure, 0, 0, 0, rule, active, b"")
    record = int.from_bytes(descriptor[2:4], "big") if len(descriptor) >= 4 else 0
    size = int.from_bytes(parts.get(_SIZE, b""), "big")
    _check_size(structure, size, record)
    sfi = parts[_SFI] if _SFI in parts else bytes(((int.from_bytes(parts[_FILE_ID], "big") & 0x1F) << 3,))
    content = b"" if structure is Structure.BER_TLV else b"\xff" * size
    return File(structure, size, record, (sfi[0] >> 3) % 31 if sfi else 0, rule, active, content)


def _check_size(structure: Structure, size: int, record: int) -> None:
    records = structure in {Structure.LINEAR, Structure.CYCLIC}
    if not 1 <= size <= _MOST_SIZE or bool(record) is not records or record > 255:
        raise SwError(SW.WRONG_DATA, "no such size")
    if records and (size % record or size // record > _MOST_RECORDS):
        raise SwError(SW.WRONG_DATA, "a file has 1 to 254 whole records")
