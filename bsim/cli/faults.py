"""Which faults are a user's, the card's or the machine's: a message and an exit code. All others are ours."""

from bsim.cli.common import CheckFailed, UsageError
from bsim.cli.ends import FULL, let_go_of_output
from bsim.client import CardError
from bsim.fuzz.card_run import NotAllowed
from bsim.fuzz.cluster import ClusterError
from bsim.fuzz.finding import FindingError
from bsim.fuzz.learn.alphabet import AlphabetError
from bsim.fuzz.learn.machine import MachineError
from bsim.fuzz.ledger import LedgerError
from bsim.fuzz.policy import SafetyStop
from bsim.fuzz.traces import LogError
from bsim.lab.guard import Unsafe
from bsim.lab.reader import ReaderError
from bsim.lab.replay import ReplayError
from bsim.lab.targets import TargetError
from bsim.lab.trace import TraceError
from bsim.links.pcscd import PcscUnavailable
from bsim.ports import CardLost
from bsim.store import StoreError
from bsim.tlv import TlvError

_USAGE = (
    UsageError,
    AlphabetError,
    ClusterError,
    FindingError,
    LedgerError,
    LogError,
    MachineError,
    NotAllowed,
    TargetError,
    TraceError,
    ReaderError,
    StoreError,
    PcscUnavailable,
    Unsafe,
)


def explain(fault: Exception) -> tuple[int | None, str]:
    """Answer exit code and message of an expected fault; None for a bug."""
    if isinstance(fault, _USAGE):
        return 2, str(fault)
    if isinstance(fault, SafetyStop):
        return 3, str(fault)
    if isinstance(fault, CardError | CheckFailed | CardLost | ReplayError | TlvError):
        return 1, f"the card's answer is malformed: {fault}" if isinstance(fault, TlvError) else str(fault)
    if isinstance(fault, UnicodeEncodeError):  # bytes of the command line or halves of JSON's pairs, which Python keeps
        return 2, "what was given is not text in UTF-8"
    if isinstance(fault, OSError) and fault.errno in FULL:  # verbs name the files they write: the output is left
        let_go_of_output()
        return 2, f"{fault.filename or 'the output'}: {fault.strerror}"
    return None, ""
