"""Status words (ISO/IEC 7816-4 5.6, ETSI TS 102 221 10.2.1): a type, and the one way a handler refuses."""

from enum import IntEnum
from typing import Final


class SW(IntEnum):
    """A status word whose two bytes are fixed. Counted ones are made by the functions below."""

    OK = 0x9000
    UNSUCCESSFUL_SEARCH = 0x6282
    FILE_DEACTIVATED = 0x6283
    MORE_BLOCKS = 0x62F1
    MORE_DATA = 0x6300
    MORE_BLOCKS_EXPECTED = 0x63F1
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    CHANNEL_NOT_SUPPORTED = 0x6881
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882
    LAST_COMMAND_OF_CHAIN_EXPECTED = 0x6883
    CHAINING_NOT_SUPPORTED = 0x6884
    WRONG_FILE_STRUCTURE = 0x6981
    SECURITY_STATUS_NOT_SATISFIED = 0x6982
    AUTHENTICATION_METHOD_BLOCKED = 0x6983
    REFERENCE_DATA_NOT_USABLE = 0x6984
    CONDITIONS_NOT_SATISFIED = 0x6985
    COMMAND_NOT_ALLOWED = 0x6986
    WRONG_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    FILE_NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    NOT_ENOUGH_MEMORY = 0x6A84
    WRONG_P1_P2 = 0x6A86
    REFERENCED_DATA_NOT_FOUND = 0x6A88
    FILE_EXISTS = 0x6A89
    WRONG_OFFSET = 0x6B00
    INS_NOT_SUPPORTED = 0x6D00
    CLA_NOT_SUPPORTED = 0x6E00
    NO_PRECISE_DIAGNOSIS = 0x6F00
    TOOLKIT_BUSY = 0x9300
    MAXIMUM_REACHED = 0x9850
    MAC_FAILURE = 0x9862
    SECURITY_CONTEXT_NOT_SUPPORTED = 0x9864
    # Class A0 only: 3GPP TS 51.011 9.4.
    GSM_NO_FILE_SELECTED = 0x9400
    GSM_OUT_OF_RANGE = 0x9402
    GSM_FILE_NOT_FOUND = 0x9404
    GSM_WRONG_FILE = 0x9408
    GSM_NO_CHV = 0x9802
    GSM_ACCESS_DENIED = 0x9804
    GSM_CHV_CONTRADICTION = 0x9808
    GSM_INVALIDATED = 0x9810
    GSM_CHV_BLOCKED = 0x9840

    @property
    def encoded(self) -> bytes:
        """The two bytes SW1 SW2."""
        return self.to_bytes(2, "big")


# In some contexts one word means another thing than its name: 6300 after EXTERNAL AUTHENTICATE is a failed comparison.
AUTHENTICATION_FAILED: Final = SW.MORE_DATA

OK: Final = SW.OK.encoded

_MEANINGS: Final = {
    SW.OK: "done",
    SW.UNSUCCESSFUL_SEARCH: "nothing was found",
    SW.FILE_DEACTIVATED: "the selected file is deactivated",
    SW.MORE_BLOCKS: "more of the data object waits",
    SW.MORE_BLOCKS_EXPECTED: "more of the data object is expected",
    SW.MORE_DATA: "more data waits, or authentication failed",
    SW.MEMORY_FAILURE: "memory failure: nothing was changed",
    SW.WRONG_LENGTH: "wrong length",
    SW.CHANNEL_NOT_SUPPORTED: "logical channel not open or none left",
    SW.SECURE_MESSAGING_NOT_SUPPORTED: "secure messaging not supported",
    SW.LAST_COMMAND_OF_CHAIN_EXPECTED: "last command of the chain expected",
    SW.CHAINING_NOT_SUPPORTED: "command chaining not supported",
    SW.WRONG_FILE_STRUCTURE: "the file has another structure",
    SW.SECURITY_STATUS_NOT_SATISFIED: "security status not satisfied",
    SW.AUTHENTICATION_METHOD_BLOCKED: "authentication method blocked",
    SW.REFERENCE_DATA_NOT_USABLE: "no or invalid random",
    SW.CONDITIONS_NOT_SATISFIED: "conditions of use not satisfied",
    SW.COMMAND_NOT_ALLOWED: "command not allowed: no elementary file is selected, or policy forbids it",
    SW.WRONG_DATA: "incorrect data",
    SW.FUNCTION_NOT_SUPPORTED: "function not supported",
    SW.FILE_NOT_FOUND: "application or file not found",
    SW.RECORD_NOT_FOUND: "record not found",
    SW.NOT_ENOUGH_MEMORY: "not enough memory",
    SW.WRONG_P1_P2: "wrong P1 or P2",
    SW.REFERENCED_DATA_NOT_FOUND: "referenced data not found",
    SW.FILE_EXISTS: "there is such a file already",
    SW.WRONG_OFFSET: "outside the file",
    SW.INS_NOT_SUPPORTED: "instruction not supported",
    SW.CLA_NOT_SUPPORTED: "class not supported",
    SW.NO_PRECISE_DIAGNOSIS: "no precise diagnosis",
    SW.TOOLKIT_BUSY: "a dialogue with the user is open",
    SW.MAXIMUM_REACHED: "the counter cannot be increased so far",
    SW.MAC_FAILURE: "authentication failed: the network's code is wrong",
    SW.SECURITY_CONTEXT_NOT_SUPPORTED: "authentication failed: no such security context",
    SW.GSM_NO_FILE_SELECTED: "no elementary file is selected",
    SW.GSM_OUT_OF_RANGE: "outside the file",
    SW.GSM_FILE_NOT_FOUND: "file or pattern not found",
    SW.GSM_WRONG_FILE: "the file has another structure",
    SW.GSM_NO_CHV: "no such PIN",
    SW.GSM_ACCESS_DENIED: "access denied, or wrong PIN with tries left",
    SW.GSM_CHV_CONTRADICTION: "the PIN is enabled, or disabled, already",
    SW.GSM_INVALIDATED: "the file is deactivated",
    SW.GSM_CHV_BLOCKED: "the PIN is blocked",
}


class SwError(Exception):
    """A command is refused with a status word; nothing it changed stays."""

    def __init__(self, sw: int, reason: str = "") -> None:
        super().__init__(reason or describe(sw))
        self.sw = int(sw)


def bytes_available(length: int) -> bytes:
    """61xx: `length` bytes (1-256 and more, shown as 256) wait for GET RESPONSE. ETSI TS 102 221 10.2.1.1."""
    return bytes((0x61, length if length < 256 else 0))


def gsm_bytes_available(length: int) -> bytes:
    """9Fxx: the same in class A0. 3GPP TS 51.011 9.4.1."""
    return bytes((0x9F, length if length < 256 else 0))


def exact_length(length: int) -> bytes:
    """6Cxx: wrong Le, `length` (1-256) is the right one. ETSI TS 102 221 10.2.1.5."""
    return bytes((0x6C, length if length < 256 else 0))


def proactive_pending(length: int) -> bytes:
    """91xx: done, and a proactive command of `length` bytes (1-256) waits for FETCH. ETSI TS 102 221 10.2.1.1."""
    return bytes((0x91, length if length < 256 else 0))


def describe(sw: int) -> str:
    """What a status word says, in a few words for people."""
    if sw in _MEANINGS:
        return _MEANINGS[SW(sw)]
    sw1, sw2 = sw >> 8, sw & 0xFF
    if sw & 0xFFF0 == 0x63C0:
        return f"wrong PIN, {sw & 15} tries left"
    counted = {
        0x61: f"{sw2 or 256} bytes wait for GET RESPONSE",
        0x9F: f"{sw2 or 256} bytes wait for GET RESPONSE",
        0x6C: f"wrong Le, {sw2 or 256} is right",
        0x91: f"done; a proactive command of {sw2 or 256} bytes waits for FETCH",
    }
    return counted.get(sw1, "unknown status word")
