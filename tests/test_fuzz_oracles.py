"""What the oracles say of single steps: on the card as it is nothing, on one that is patched what is wrong with it."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from bsim.applets import pins
from bsim.applets.file_session import FileSession
from bsim.applets.pins import ADM, MOST_UNBLOCKING_TRIES, PIN1, PIN2, UNIVERSAL, Outcome, Pins
from bsim.crypto.scp.scp03 import Scp03
from bsim.fuzz import cards
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.grammar import grammar
from bsim.fuzz.oracles import Hit, Judge
from bsim.fuzz.oracles.crash import CrashLog
from bsim.fuzz.oracles.leak import Secrets
from bsim.fuzz.steps import OPENS, POWER_CYCLE, Step, cut, send

CODES = {code.reference: code for code in pins.DEFAULT.codes}
WRONG = b"99999999"
NEW = b"2580\xff\xff\xff\xff"
READ_SMS = (send(bytes.fromhex("00A40804047F106F3A")), send(bytes.fromhex("00B2010420")))  # EF.ADN, which PIN1 protects
UPDATE_RULES = send(bytes.fromhex("00DC0134") + bytes((64,)) + b"\xff" * 64)  # EF.ARR, which is the administrator's


def pin(ins: int, reference: int, *values: bytes, p1: int = 0, cla: int = 0) -> Step:
    data = b"".join(values)
    return send(bytes((cla, ins, p1, reference, len(data))) + data)


def value(reference: int) -> bytes:
    return CODES[reference].value


def puk(reference: int) -> bytes:
    return CODES[reference].unblocking


def judged(*steps: Step, root: str = "operational") -> tuple[list[str], int]:
    """Answer the keys of what is hit by each step, and the last status word."""
    rig, judge = EmulatedRig(grammar(), root), Judge({"pin-counter", "access-control", "secret-leak"})
    hits: list[Hit | None] = []
    with judge.log:
        for step in steps:
            judge.log.clear()
            rig.do(step)
            hits.append(judge(rig))
    return [hit.key for hit in hits if hit is not None], rig.sw


ENABLED = (pin(0x28, PIN1, value(PIN1)), POWER_CYCLE)
CLEAN: dict[str, tuple[tuple[Step, ...], int]] = {
    "wrong, then right": ((pin(0x20, PIN2, WRONG), pin(0x20, PIN2, value(PIN2))), 0x9000),
    "blocked, and unblocked": (
        (
            *[pin(0x20, PIN2, WRONG)] * 4,
            pin(0x2C, PIN2, WRONG, NEW),
            pin(0x2C, PIN2, puk(PIN2), NEW),
            pin(0x20, PIN2, NEW),
        ),
        0x9000,
    ),
    "blocked for ever": ((*[pin(0x2C, PIN2, WRONG, NEW)] * 11, pin(0x2C, PIN2, puk(PIN2), NEW)), 0x6983),
    "tries asked for": ((pin(0x20, ADM), pin(0x2C, UNIVERSAL)), 0x63CA),
    "changed": ((pin(0x24, UNIVERSAL, value(UNIVERSAL), NEW), pin(0x20, UNIVERSAL, NEW)), 0x9000),
    "a new PIN that is none": (
        (pin(0x24, PIN2, value(PIN2), b"\0" * 8), pin(0x2C, PIN2, puk(PIN2), b"\0" * 8)),
        0x6A80,
    ),
    "disabled with a stand-in": (
        (
            *ENABLED,
            pin(0x26, PIN1, value(PIN1), p1=0x91),
            POWER_CYCLE,
            *READ_SMS,
            pin(0x20, UNIVERSAL, value(UNIVERSAL)),
            READ_SMS[1],
        ),
        0x9000,
    ),
    "class A0": (
        (
            pin(0x28, 1, WRONG, cla=0xA0),
            pin(0x28, 1, value(PIN1), cla=0xA0),
            pin(0x26, 1, value(PIN1), cla=0xA0),
            pin(0x24, 2, value(PIN2), b"\0" * 8, cla=0xA0),
            *[pin(0x20, 2, WRONG, cla=0xA0)] * 4,
            pin(0x2C, 2, WRONG, NEW, cla=0xA0),
            pin(0x2C, 2, puk(PIN2), NEW, cla=0xA0),
            pin(0x24, 2, NEW, value(PIN2), cla=0xA0),
        ),
        0x9000,
    ),
    "read, while PIN1 is disabled": (READ_SMS, 0x9000),
    "PIN1 is missing": ((*ENABLED, *READ_SMS), 0x6982),
    "PIN1 is shown": ((*ENABLED, *READ_SMS, pin(0x20, PIN1, value(PIN1)), READ_SMS[1]), 0x9000),
    "and taken back": ((*ENABLED, pin(0x20, PIN1, value(PIN1)), pin(0x20, PIN1, WRONG), *READ_SMS), 0x6982),
    "the administrator": ((pin(0x20, ADM, value(ADM)), UPDATE_RULES), 0x9000),
    "torn": ((cut(pin(0x20, ADM, value(ADM))[1], 1, after=True), pin(0x20, ADM)), 0x63C9),
}


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("root", ["operational", "t0"])
def test_what_pins_and_files_do_is_right(name: str, root: str) -> None:
    steps, sw = CLEAN[name]
    assert judged(*steps, root=root) == ([], sw)


def late(self: Pins, reference: int, shown: bytes, commit: Callable[[], None]) -> Outcome:
    code = self.code(reference)
    right = shown == code.value
    self._put(replace(code, tries=pins.most_tries(reference) if right else code.tries - 1))
    commit()
    return Outcome.RIGHT if right else Outcome.WRONG


def never_blocked(self: Pins, reference: int, shown: bytes, commit: Callable[[], None]) -> Outcome:
    if shown == self.code(reference).value:
        self._put(replace(self.code(reference), tries=pins.most_tries(reference)))
        return Outcome.RIGHT
    return CHECK(self, reference, shown, commit)


def costs_two(self: Pins, reference: int, shown: bytes, commit: Callable[[], None]) -> Outcome:
    self._put(replace(self.code(reference), tries=max(self.code(reference).tries - 1, 1)))
    return CHECK(self, reference, shown, commit)


def not_restored(self: Pins, reference: int, shown: bytes, commit: Callable[[], None]) -> Outcome:
    outcome = CHECK(self, reference, shown, commit)
    if outcome is Outcome.RIGHT:
        self._put(replace(self.code(reference), tries=1))
    return outcome


def always_wrong(self: Pins, reference: int, _: bytes, commit: Callable[[], None]) -> Outcome:
    return CHECK(self, reference, WRONG, commit)


def other_pin(self: Pins, reference: int, shown: bytes, commit: Callable[[], None]) -> Outcome:
    self._put(replace(self.code(ADM), tries=MOST_UNBLOCKING_TRIES - 1))
    return CHECK(self, reference, shown, commit)


CHECK = Pins.check


@pytest.mark.parametrize(
    ("check", "shown", "key"),
    [
        (late, value(PIN2), "PIN compared before a try is spent"),
        (costs_two, WRONG, "wrong PIN is free"),
        (not_restored, value(PIN2), "right PIN not carried out"),
        (always_wrong, value(PIN2), "right PIN refused"),
        (other_pin, WRONG, "another file PIN"),
    ],
)
@pytest.mark.parametrize("cla", [0, 0xA0])
def test_a_pin_that_is_not_compared_as_it_must_be(
    monkeypatch: pytest.MonkeyPatch, check: object, shown: bytes, key: str, cla: int
) -> None:
    monkeypatch.setattr(Pins, "check", check)
    assert judged(pin(0x20, 2 if cla else PIN2, shown, cla=cla))[0] == [f"pin-counter/{key}"]


def test_a_blocked_pin_stays_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pins, "check", never_blocked)
    assert judged(pin(0x20, PIN2, value(PIN2)), root="pins-blocked")[0] == ["pin-counter/blocked PIN accepted"]


def test_nothing_else_changes_a_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(self: FileSession, path: bytes) -> None:
        self.pins.change(ADM, value=NEW)
        ENTER(self, path)

    monkeypatch.setattr(FileSession, "enter", forgets)
    assert judged(READ_SMS[0])[0] == ["pin-counter/PIN changed by SELECT"]


ENTER = FileSession.enter


@pytest.mark.parametrize(
    ("steps", "key"),
    [
        ((*ENABLED, *READ_SMS), "rule of a file"),
        ((UPDATE_RULES,), "rule of a file"),
        ((send(bytes.fromhex("00E40000022FE2")),), "rule of a file"),
        ((send(bytes.fromhex("00E0000018621682024121 83022FE58A01058B032F0601800200088800")),), "rule of a file"),
        ((send(bytes.fromhex("00A40000022FE2")), send(bytes.fromhex("0004000000"))), "rule of a file"),
    ],
)
def test_a_file_that_is_open_to_everybody(monkeypatch: pytest.MonkeyPatch, steps: tuple[Step, ...], key: str) -> None:
    monkeypatch.setattr(FileSession, "permit", lambda *_: None)
    assert judged(*steps)[0] == [f"access-control/{key}"]


def test_a_right_that_a_pin_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pins, "holds", lambda *_: True)
    run = (send(bytes.fromhex("A0A40000027F20")), send(bytes.fromhex("A088000010") + bytes(16)))  # RUN GSM ALGORITHM
    assert judged(*run)[0] == []
    assert judged(*ENABLED, *run)[0] == ["access-control/right chv1"]


@pytest.mark.parametrize("words", ["a key %s", "made %s", "[%s]", "dead %s beef", "at 7: %s"])
def test_a_logged_secret_is_found_behind_any_words(words: str) -> None:
    rig, log = EmulatedRig(grammar(), "operational"), CrashLog()
    rig.do(POWER_CYCLE)
    with log:
        logging.getLogger("bsim.card").warning(words, cards.OPENING_KEY.hex())
    judge = Judge({"secret-leak"})
    judge.log.text = log.text
    hit = judge(rig)
    assert hit is not None
    assert hit.key.endswith("in the log")
    assert not judge.log.text


def test_keys_of_a_secure_channel_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Scp03] = []
    monkeypatch.setattr(Scp03, "proof", lambda self, level: (found.append(self), PROOF(self, level))[1])
    rig = EmulatedRig(grammar(), "operational")
    rig.do(send(bytes.fromhex("00A4040008A000000151000000")))
    rig.do(send(bytes.fromhex("8050300008") + bytes(8) + b"\0"))
    rig.do((0, bytes.fromhex("8482010010") + bytes(16), OPENS))
    assert rig.sw == 0x9000
    assert Secrets().find(rig, found[0]._mac) == "mac"
    rig.do(POWER_CYCLE)
    assert Secrets().find(rig, found[0]._mac) == "mac"  # the step that ended the channel could still have told it
    rig.do(POWER_CYCLE)
    assert not Secrets().find(rig, found[0]._mac)


PROOF = Scp03.proof


def test_a_log_that_is_listened_to_twice_is_heard_until_the_last_is_done() -> None:
    logger, log = logging.getLogger("bsim.card"), CrashLog()
    before = logger.propagate
    with log:
        with log:
            pass
        logger.warning("heard")
        assert log.text == "heard"
        log.clear()
    assert (log.text, logger.propagate, log in logger.handlers) == ("", before, False)
