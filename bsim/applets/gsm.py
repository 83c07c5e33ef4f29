"""The commands of class A0, as phones and tools of the first generation send them. 3GPP TS 51.011 8 and 9 (GSM 11.11).

They do what files.py and pin_commands.py do, and refuse it with status words of their own.
"""

from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import Final, ParamSpec

from bsim.applets import file_admin, files
from bsim.applets.base import Binding
from bsim.applets.file_session import FileSession, Method
from bsim.applets.network import run_gsm_algorithm
from bsim.applets.pin_commands import switchable, well_formed
from bsim.applets.pins import PIN1, PIN2, Code, Outcome
from bsim.applets.templates import gsm_response
from bsim.spec.access import Mode
from bsim.spec.files import MF, Structure
from bsim.sw import SW, SwError

_DF_GSM: Final = MF + b"\x7f\x20"
P = ParamSpec("P")

gsm: Final = Binding[FileSession]("gsm")

# 3GPP TS 51.011 9.4: what each refusal is called in class A0.
_WORDS: Final = {
    SW.COMMAND_NOT_ALLOWED: SW.GSM_NO_FILE_SELECTED,
    SW.FILE_NOT_FOUND: SW.GSM_FILE_NOT_FOUND,
    SW.UNSUCCESSFUL_SEARCH: SW.GSM_FILE_NOT_FOUND,
    SW.WRONG_FILE_STRUCTURE: SW.GSM_WRONG_FILE,
    SW.RECORD_NOT_FOUND: SW.GSM_OUT_OF_RANGE,
    SW.WRONG_OFFSET: SW.GSM_OUT_OF_RANGE,
    SW.SECURITY_STATUS_NOT_SATISFIED: SW.GSM_ACCESS_DENIED,
    SW.REFERENCE_DATA_NOT_USABLE: SW.GSM_INVALIDATED,
    SW.WRONG_DATA: SW.GSM_ACCESS_DENIED,
    SW.FUNCTION_NOT_SUPPORTED: SW.GSM_CHV_CONTRADICTION,
}


class Chv(IntEnum):
    """A card holder verification value: PIN1 or PIN2."""

    CHV1 = 1
    CHV2 = 2


class UnblockedChv(IntEnum):
    """The same, as UNBLOCK CHV numbers them."""

    CHV1 = 0
    CHV2 = 2


class RecordMode(IntEnum):
    """Which record READ RECORD and UPDATE RECORD mean."""

    NEXT = 2
    PREVIOUS = 3
    ABSOLUTE = 4


class Seek(IntEnum):
    """Where SEEK begins and whether it answers the record's number. 3GPP TS 51.011 9.2.7."""

    FROM_BEGINNING = 0x00
    FROM_END = 0x01
    FROM_NEXT = 0x02
    FROM_PREVIOUS = 0x03
    FROM_BEGINNING_TELL = 0x10
    FROM_END_TELL = 0x11
    FROM_NEXT_TELL = 0x12
    FROM_PREVIOUS_TELL = 0x13


@gsm.condition("gsm_directory")
def gsm_directory(ctx: FileSession) -> bool:
    """DF.GSM, or a directory in it, is the current one."""
    return ctx.within(_DF_GSM)


@gsm.right("chv1")
def chv1(ctx: FileSession) -> SW | None:
    """CHV1 was verified, or is not asked for."""
    return None if ctx.pins.holds(PIN1) else SW.GSM_ACCESS_DENIED


def in_its_words(handler: Callable[P, bytes]) -> Callable[P, bytes]:
    """Refuse as class A0 does, where a handler refuses as the UICC does."""

    @wraps(handler)
    def worded(*args: P.args, **kwargs: P.kwargs) -> bytes:
        try:
            return handler(*args, **kwargs)
        except SwError as refusal:
            own = _WORDS.get(SW(refusal.sw)) if refusal.sw in set(SW) else None
            if own is None:
                raise
            raise SwError(own, str(refusal)) from refusal

    return worded


@gsm.handles("GSM_SELECT")
@in_its_words
def select(ctx: FileSession, identifier: bytes) -> bytes:
    """A file by its identifier; answers what it is."""
    path = ctx.find(Method.FILE_ID, identifier)
    ctx.enter(path)
    return gsm_response(ctx, path)


@gsm.handles("GSM_STATUS")
def status(ctx: FileSession, le: int) -> bytes:
    """The current directory, as much of it as is asked for."""
    return gsm_response(ctx, ctx.directory)[:le]


@gsm.handles("GSM_GET_RESPONSE")
def get_response(ctx: FileSession, le: int) -> bytes:  # noqa: ARG001 - the entry's fields
    """At APDU level nothing is ever held back: the T=0 layer serves what it holds."""
    raise SwError(SW.CONDITIONS_NOT_SATISFIED, "no response bytes wait")


@gsm.handles("GSM_READ_BINARY")
@in_its_words
def read_binary(ctx: FileSession, high: int, low: int, le: int) -> bytes:
    """Bytes of a transparent file."""
    path, offset = files.binary(ctx, high, low, Mode.READ)
    return ctx.tree.content(path)[offset : offset + le]


@gsm.handles("GSM_UPDATE_BINARY")
@in_its_words
def update_binary(ctx: FileSession, high: int, low: int, data: bytes) -> bytes:
    """Replace bytes of a transparent file."""
    return files.update_binary(ctx, high, low, data)


@gsm.handles("GSM_READ_RECORD")
@in_its_words
def read_record(ctx: FileSession, number: int, mode: RecordMode, le: int) -> bytes:
    """A record, whole."""
    return files.read_record(ctx, number, mode, le)


@gsm.handles("GSM_UPDATE_RECORD")
@in_its_words
def update_record(ctx: FileSession, number: int, mode: RecordMode, record: bytes) -> bytes:
    """Replace a record."""
    return files.update_record(ctx, number, mode, record)


@gsm.handles("GSM_SEEK")
@in_its_words
def seek(ctx: FileSession, kind: Seek, pattern: bytes) -> bytes:
    """Find the record that begins with a pattern, and make it the current one."""
    path, file = files.of_structure(ctx, (Structure.LINEAR,), Mode.READ)
    last, origin = file.size // file.record, kind & 3
    orders = (
        range(1, last + 1),
        range(last, 0, -1),
        range(ctx.record + 1, last + 1),
        range((ctx.record or last + 1) - 1, 0, -1),
    )
    content = ctx.tree.content(path)
    for number in orders[origin]:
        if content[(number - 1) * file.record :][: len(pattern)] == pattern and len(pattern) <= file.record:
            ctx.record = number
            return bytes((number,)) if kind & 0x10 else b""
    raise SwError(SW.UNSUCCESSFUL_SEARCH, "no record begins so")


@gsm.handles("GSM_INCREASE")
@in_its_words
def increase(ctx: FileSession, value: bytes) -> bytes:
    """Add to the newest record of a cyclic file; answers the sum and what was added."""
    path, file = files.of_structure(ctx, (Structure.CYCLIC,), Mode.INCREASE)
    return files.add(ctx, path, file, value) + value


@gsm.handles("GSM_INVALIDATE")
@in_its_words
def invalidate(ctx: FileSession) -> bytes:
    """Keep the current file from being used."""
    ctx.elementary()
    file_admin.switch(ctx, b"", active=False)
    return b""


@gsm.handles("GSM_REHABILITATE")
@in_its_words
def rehabilitate(ctx: FileSession) -> bytes:
    """Let the current file be used again."""
    if ctx.file is not None and ctx.tree.file(ctx.file).active:
        raise SwError(SW.GSM_INVALIDATED, "the file is in use")
    file_admin.switch(ctx, b"", active=True)
    return b""


@gsm.handles("GSM_VERIFY_CHV")
def verify_chv(ctx: FileSession, chv: Chv, value: bytes) -> bytes:
    """Verify a CHV."""
    compare(ctx, enabled(ctx, _REFERENCE[chv]), value)
    return b""


@gsm.handles("GSM_CHANGE_CHV")
@in_its_words
def change_chv(ctx: FileSession, chv: Chv, old: bytes, new: bytes) -> bytes:
    """Replace a CHV by another."""
    code = enabled(ctx, _REFERENCE[chv])
    well_formed(new)
    compare(ctx, code, old)
    ctx.pins.change(code.reference, value=new)
    return b""


@gsm.handles("GSM_DISABLE_CHV")
@in_its_words
def disable_chv(ctx: FileSession, value: bytes) -> bytes:
    """Ask for CHV1 no longer."""
    compare(ctx, enabled(ctx, PIN1), value)
    ctx.pins.change(PIN1, enabled=False, replaced=False)
    return b""


@gsm.handles("GSM_ENABLE_CHV")
@in_its_words
def enable_chv(ctx: FileSession, value: bytes) -> bytes:
    """Ask for CHV1 again."""
    code = switchable(ctx, PIN1)
    if code.enabled:
        raise SwError(SW.GSM_CHV_CONTRADICTION, "CHV1 is enabled already")
    compare(ctx, code, value)
    ctx.pins.change(PIN1, enabled=True, replaced=False)
    return b""


@gsm.handles("GSM_UNBLOCK_CHV")
@in_its_words
def unblock_chv(ctx: FileSession, chv: UnblockedChv, unblocking: bytes, new: bytes) -> bytes:
    """Replace a CHV with what unblocks it."""
    well_formed(new)
    reference = PIN2 if chv is UnblockedChv.CHV2 else PIN1
    outcome = ctx.pins.unblock(reference, unblocking, new, ctx.card.commit)
    _judge(outcome, ctx.pins.code(reference).unblocking_tries)
    return b""


@gsm.handles("RUN_GSM_ALGORITHM")
def run(ctx: FileSession, rand: bytes) -> bytes:
    """SRES and Kc of a challenge."""
    response, key = run_gsm_algorithm(ctx, rand)
    return response + key


_REFERENCE: Final = {Chv.CHV1: PIN1, Chv.CHV2: PIN2}


def enabled(ctx: FileSession, reference: int) -> Code:
    """Answer a PIN that is asked for; SwError 9808 if it is disabled."""
    code = ctx.pins.code(reference)
    if not code.enabled:
        raise SwError(SW.GSM_CHV_CONTRADICTION, "the CHV is disabled")
    return code


def compare(ctx: FileSession, code: Code, value: bytes) -> None:
    """Check a CHV; SwError 9804 where it is wrong and tries are left, 9840 where none is."""
    outcome = ctx.pins.check(code.reference, value, ctx.card.commit)
    _judge(outcome, ctx.pins.code(code.reference).tries)


def _judge(outcome: Outcome, left: int) -> None:
    if outcome is not Outcome.RIGHT:
        raise SwError(SW.GSM_ACCESS_DENIED if left else SW.GSM_CHV_BLOCKED, "wrong CHV")


COMMANDS: Final = gsm.compile()
