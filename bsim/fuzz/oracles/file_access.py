"""Whether a file was read, written or managed only when its access rule allowed that. ETSI TS 102 221 9.2.

Which PINs count is told by what was presented since the reset, not by the card; the rule is that of before the command.
"""

from collections.abc import Mapping
from typing import Final

from bsim import tlv
from bsim.apdu import body
from bsim.applets.file_session import FileSession
from bsim.applets.file_tree import File, FilesState, parent
from bsim.applets.pins import PIN1
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.grammar import Entry, ended_well, grammar
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.presented import counts_as_verified, pins_of
from bsim.spec import file_system
from bsim.spec.access import NEVER, Condition, Mode, condition, parse
from bsim.spec.files import MF
from bsim.sw import SwError

_ORACLE: Final = "access-control"
_FILE_ID: Final = 0x83
_RIGHTS: Final = {"pin1": PIN1, "chv1": PIN1}
_ON_CURRENT: Final = {
    "READ_BINARY": Mode.READ,
    "READ_RECORD": Mode.READ,
    "SEARCH_RECORD": Mode.READ,
    "RETRIEVE_DATA": Mode.READ,
    "UPDATE_BINARY": Mode.UPDATE,
    "UPDATE_RECORD": Mode.UPDATE,
    "SET_DATA": Mode.UPDATE,
    "INCREASE": Mode.INCREASE,
    "GSM_READ_BINARY": Mode.READ,
    "GSM_READ_RECORD": Mode.READ,
    "GSM_SEEK": Mode.READ,
    "GSM_UPDATE_BINARY": Mode.UPDATE,
    "GSM_UPDATE_RECORD": Mode.UPDATE,
    "GSM_INCREASE": Mode.INCREASE,
    "GSM_INVALIDATE": Mode.DEACTIVATE,
    "GSM_REHABILITATE": Mode.ACTIVATE,
}
_ON_NAMED: Final = {
    "ACTIVATE_FILE": Mode.ACTIVATE,
    "DEACTIVATE_FILE": Mode.DEACTIVATE,
    "DELETE_FILE": Mode.DELETE,
    "RESIZE_FILE": Mode.RESIZE,
}
_CREATE: Final = "CREATE_FILE"
_WITH_PIN: Final = {entry.name for entry in grammar().entries if not _RIGHTS.keys().isdisjoint(entry.needs)}
_JUDGED: Final = frozenset({*_ON_CURRENT, *_ON_NAMED, _CREATE, *_WITH_PIN})
_Changed = Mapping[bytes, File | None]


def file_access(rig: EmulatedRig, entry: Entry) -> Hit | None:
    """Success of a command on a file whose rule wanted a PIN that nobody showed, or that is never allowed."""
    if entry.name not in _JUDGED or rig.whole is None or not ended_well(rig.sw):
        return None
    pins, session = pins_of(rig.states), rig.uicc.session(rig.channel)
    if pins is None or not isinstance(session, FileSession):
        return None
    verified = rig.verified
    for right in entry.needs:
        if right in _RIGHTS and not counts_as_verified(pins, verified, _RIGHTS[right]):
            return Hit(_ORACLE, f"right {right}", f"{entry.name} answered {rig.sw:04X} without the right {right!r}")
    changed = next((state.changed for state in rig.states if type(state) is FilesState), {})
    found = _worked_on(session, entry, rig.whole, changed)
    rule = _condition(changed, *found) if found is not None else None
    if found is None or rule is None or rule.holds(lambda reference: counts_as_verified(pins, verified, reference)):
        return None
    words = (
        f"{entry.name} answered {rig.sw:04X}: the access rule of file {found[0][-2:].hex().upper()} does not allow it"
    )
    return Hit(_ORACLE, "rule of a file", words)


def _worked_on(session: FileSession, entry: Entry, whole: bytes, changed: _Changed) -> tuple[bytes, Mode] | None:
    """Answer which path a command that ended well was about, and what it did there; None if that is not known."""
    if entry.name in _ON_CURRENT:  # a short identifier has made the file the current one
        return (session.file, _ON_CURRENT[entry.name]) if session.file is not None else None
    if entry.name == _CREATE:  # what is made is selected
        made = session.current
        new = session.tree.file(made)
        return parent(made), Mode.CREATE_DIRECTORY if new.directory else Mode.CREATE_FILE
    name = _named(entry, whole)
    path = session.directory + name if name else session.file
    if name is None or path is None or entry.name not in _ON_NAMED:
        return None
    file = _file(changed, path)
    if entry.name == "DELETE_FILE" and file is not None and file.directory:
        return parent(path), Mode.DELETE_CHILD
    return path, _ON_NAMED[entry.name]


def _named(entry: Entry, whole: bytes) -> bytes | None:
    """Answer the identifier in a command's data, empty where the current file is meant; None if there is none."""
    try:
        start, end, _ = body(whole)
        data = whole[start:end]
        if entry.name != "RESIZE_FILE":
            return data
        return next(part.value for part in tlv.parse(tlv.parse(data)[0].value) if part.tag == _FILE_ID)
    except (SwError, tlv.TlvError, IndexError, StopIteration):
        return None


def _condition(changed: _Changed, path: bytes, mode: Mode) -> Condition | None:
    """Answer what the file's record of EF.ARR says; None where it cannot be known."""
    file, at = _file(changed, path), parent(path)
    if file is None:
        return None
    # ETSI TS 102 221 9.2.7: the EF.ARR in the file's own directory is meant, or the next above that has one.
    while (rules := _file(changed, at + file.rule[:2])) is None and at != MF:
        at = parent(at)
    number = file.rule[2]
    if rules is None or not 1 <= number <= rules.size // (rules.record or 1):
        return NEVER
    content = _content(rules, at + file.rule[:2])
    if content is None:
        return None
    try:
        return condition(parse(content[rules.record * (number - 1) : rules.record * number]), mode)
    except tlv.TlvError:
        return NEVER


def _file(changed: _Changed, path: bytes) -> File | None:
    if path in changed:
        return changed[path]
    one = file_system().files.get(path)
    return None if one is None else File(one.structure, one.size, one.record, one.sfi, one.rule)


def _content(file: File, path: bytes) -> bytes | None:
    if file.content is not None:
        return file.content
    declared = file_system().files.get(path)
    return declared.content if declared is not None and not declared.personal else None
