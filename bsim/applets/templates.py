"""What SELECT answers of files: FCP templates (ETSI TS 102 221 11.1.1.3), and class A0's own (3GPP TS 51.011 9.2.1)."""

from typing import Final

from bsim import tlv
from bsim.applets.file_session import FileSession
from bsim.applets.file_tree import File
from bsim.applets.pins import PIN1, PIN2, UNIVERSAL, Code
from bsim.spec.access import ALWAYS, Condition, Mode
from bsim.spec.files import MF, Structure

_DATA_CODING: Final = 0x21
_FILE_ID: Final = 0x83
_ACTIVE, _INACTIVE = b"\x05", b"\x04"
# ETSI TS 102 221 11.1.1.4.6: class A to C, clock stop in either state.
_CHARACTERISTICS: Final = tlv.encode(0x80, b"\x71")
_AVAILABLE_MEMORY: Final = 0x83
_PINS_OF_DIRECTORIES: Final = (PIN1, PIN2, UNIVERSAL)


def parameters(session: FileSession, path: bytes) -> bytes:
    """The objects of an FCP template, of any file."""
    file = session.tree.file(path)
    life = tlv.encode(0x8A, _ACTIVE if file.active else _INACTIVE)
    security = tlv.encode(0x8B, file.rule)
    if file.directory:
        aid = session.tree.aid(path)
        name = tlv.encode(0x84, aid) if aid else b""
        head = tlv.encode(0x82, bytes((Structure.DIRECTORY, _DATA_CODING))) + tlv.encode(_FILE_ID, path[-2:]) + name
        return head + _proprietary(session, path) + life + security + _pin_status(session.pins.states())
    head = tlv.encode(0x82, _descriptor(file)) + tlv.encode(_FILE_ID, path[-2:])
    size = tlv.encode(0x80, file.size.to_bytes(2, "big"))
    return head + life + security + size + tlv.encode(0x88, bytes((file.sfi << 3,)) if file.sfi else b"")


def _descriptor(file: File) -> bytes:
    """Two bytes, or five for a file of records. ETSI TS 102 221 11.1.1.4.3."""
    head = bytes((file.structure, _DATA_CODING))
    return head + file.record.to_bytes(2, "big") + bytes((file.size // file.record,)) if file.record else head


def _proprietary(session: FileSession, path: bytes) -> bytes:
    """Characteristics (of the MF and applications), and the memory left. ETSI TS 102 221 11.1.1.4.6."""
    memory = tlv.encode(_AVAILABLE_MEMORY, session.tree.room.to_bytes(4, "big"))
    return tlv.encode(0xA5, (_CHARACTERISTICS if path == MF else b"") + memory)


def _pin_status(codes: tuple[Code, ...]) -> bytes:
    """Which PINs are enabled, a bit each, and their references. ETSI TS 102 221 9.5.2, 11.1.1.4.10."""
    shown = [code for code in codes if code.reference in _PINS_OF_DIRECTORIES]
    enabled = sum(0x80 >> at for at, code in enumerate(shown) if code.enabled)
    references = (
        # The universal PIN's usage qualifier says that it stands for another: not unless it does.
        (tlv.encode(0x95, b"\x08") if code.reference == UNIVERSAL else b"") + tlv.encode(0x83, bytes((code.reference,)))
        for code in shown
    )
    return tlv.encode(0xC6, tlv.encode(0x90, bytes((enabled,))) + b"".join(references))


def gsm_response(session: FileSession, path: bytes) -> bytes:
    """Answer SELECT of class A0: 22 bytes of a directory, 15 of an elementary file. 3GPP TS 51.011 9.2.1."""
    file = session.tree.file(path)
    return _gsm_directory(session, path) if file.directory else _gsm_file(session, path, file)


_GSM_MF, _GSM_DF, _GSM_EF = 1, 2, 4
_GSM_STRUCTURES: Final = {Structure.LINEAR: 1, Structure.CYCLIC: 3}
_GSM_MODES: Final = (
    (Mode.READ, Mode.UPDATE),
    (Mode.INCREASE, None),
    (Mode.ACTIVATE, Mode.DEACTIVATE),
)
_GSM_NEVER: Final = 15


def _gsm_directory(session: FileSession, path: bytes) -> bytes:
    children = [session.tree.file(child).directory for child in session.tree.children(path)]
    codes = {code.reference: code for code in session.pins.states()}
    pin1, pin2 = codes[PIN1], codes[PIN2]
    # Clock stop in either state; CHV1 disabled. Table under "file characteristics".
    characteristics = 0x01 | (0 if pin1.enabled else 0x80)
    statuses = bytes(0x80 | tries for code in (pin1, pin2) for tries in (code.tries, code.unblocking_tries))
    own = bytes((characteristics, sum(children), len(children) - sum(children), 4, 0)) + statuses
    kind = _GSM_MF if path == MF else _GSM_DF
    memory = min(session.tree.room, 0xFFFF).to_bytes(2, "big")
    return bytes(2) + memory + path[-2:] + bytes((kind,)) + bytes(5) + bytes((len(own),)) + own


def _gsm_file(session: FileSession, path: bytes, file: File) -> bytes:
    nibbles = [
        _gsm_condition(session.condition(path, mode)) if mode else _GSM_NEVER for pair in _GSM_MODES for mode in pair
    ]
    access = bytes(nibbles[at] << 4 | nibbles[at + 1] for at in (0, 2, 4))
    increase = 0x40 if file.structure is Structure.CYCLIC else 0
    structure = _GSM_STRUCTURES.get(file.structure, 0)
    head = bytes(2) + file.size.to_bytes(2, "big") + path[-2:] + bytes((_GSM_EF, increase))
    return head + access + bytes((file.active, 2, structure, file.record))


def _gsm_condition(needs: Condition) -> int:
    """0 always, 1 CHV1, 2 CHV2, 4 to 14 administrators, 15 never. 3GPP TS 51.011 9.3."""
    if needs == ALWAYS:
        return 0
    known = {PIN1: 1, PIN2: 2}
    return min((known.get(key, 4) for key in needs.references()), default=_GSM_NEVER)
