"""The phone: scripts, delays by a clock of our own, answers from other threads, and cards that ask odd things."""

import sys
import threading

import pytest
from helpers import (
    BPIN,
    Judge,
    apdu,
    bare_card,
    derive,
    exchange,
    expect,
    new_card,
    select,
    sign,
    verified_card,
)

from bsim.applets.proactive import CommandType, ProactiveCommand, Result, TerminalResponse
from bsim.handset import Handset, Reply, ScriptedUser, TerminalUser, in_handset
from bsim.handset.phone import CardInHandset, Respond
from bsim.handset.script import Step, parse_script


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Watching:
    """A user who keeps what was shown and how to respond, and does nothing by itself."""

    def __init__(self) -> None:
        self.seen: list[tuple[ProactiveCommand, Respond]] = []

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        self.seen.append((command, respond))


def phone(script: str, *, new_bpin: str | None = None, clock: FakeClock | None = None) -> CardInHandset:
    """The test card with one key, in a phone whose user follows a script."""
    handset = Handset(ScriptedUser(script, BPIN, new_bpin), clock=clock or FakeClock())
    card = handset.insert(bare_card())
    select(card)
    derive(card)
    return card


# Scripts.


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        ("right", [("right", None)]),
        ("wrong, wrong ,right", [("wrong", None), ("wrong", None), ("right", None)]),
        ("right@1.5s", [("right", 1.5)]),
        ("right@2", [("right", 2.0)]),
        ("cancel@250ms,silent", [("cancel", 0.25), ("silent", None)]),
        ("123456,0@0s", [("123456", None), ("0", 0.0)]),
    ],
)
def test_scripts(script: str, steps: list[tuple[str, float | None]]) -> None:
    assert parse_script(script) == tuple(Step(*step) for step in steps)


@pytest.mark.parametrize(
    "script", ["", "left", "right@", "right@s", "right@-1s", "right@1m", "right,,wrong", "right wrong"]
)
def test_scripts_that_are_none(script: str) -> None:
    with pytest.raises(ValueError, match=r"is none of right, wrong, yes, no, cancel, silent or digits"):
        parse_script(script)
    with pytest.raises(ValueError, match=r"handset script: entry [12] "):
        in_handset(bare_card(), script)


def test_scripts_show_no_digits() -> None:
    assert "480716" not in repr(parse_script("480716"))
    with pytest.raises(ValueError, match="entry 2") as caught:
        parse_script("right,48071G")
    assert "48071" not in str(caught.value)


def test_right() -> None:
    card = phone("right")
    expect(card, "VERIFY_BPIN")
    sign(card)


def test_wrong_twice_then_right() -> None:
    card = phone("wrong,wrong,right")
    expect(card, "VERIFY_BPIN")
    sign(card)


def test_wrong_for_ever_blocks_the_bpin() -> None:
    card = phone("wrong")
    expect(card, "VERIFY_BPIN")
    expect(card, "VERIFY_BPIN", 0x6983)
    sign(card, sw=0x6983)


def test_digits_are_typed_as_they_are() -> None:
    card = phone("000000,123456")
    expect(card, "VERIFY_BPIN")
    sign(card)


def test_right_does_not_spend_all_tries_on_a_bpin_it_does_not_know() -> None:
    card = Handset(ScriptedUser("right", "999999")).insert(bare_card())
    select(card)
    for _ in range(9):
        expect(card, "VERIFY_BPIN")
    expect(card, "VERIFY_BPIN")
    expect(card, "VERIFY_BPIN", 0x6983)


@pytest.mark.parametrize("script", ["cancel", "silent", "cancel@0s"])
def test_who_does_not_type_is_not_verified(script: str) -> None:
    card = phone(script)
    expect(card, "VERIFY_BPIN")
    sign(card, sw=0x6982)
    expect(card, "EXPORT_PUBKEYS", part="FIRST")


def test_cancel_once() -> None:
    card = phone("cancel,right")
    expect(card, "VERIFY_BPIN")
    sign(card, sw=0x6982)
    expect(card, "VERIFY_BPIN")
    sign(card)


def test_update_bpin_by_script() -> None:
    card = phone("right", new_bpin="654321")
    expect(card, "UPDATE_BPIN")
    sign(card, sw=0x6982)
    expect(card, "VERIFY_BPIN")
    sign(card)
    card.reset()
    select(card)
    expect(card, "VERIFY_BPIN")
    sign(card)
    other = in_handset(card.card, "right", "654321")
    select(other)
    expect(other, "VERIFY_BPIN")
    sign(other)


def test_update_bpin_mistyped_by_script() -> None:
    card = phone("right,right,wrong,right", new_bpin="654321")
    expect(card, "UPDATE_BPIN")
    expect(card, "VERIFY_BPIN")
    sign(card)


def test_no_phone() -> None:
    bare = bare_card()
    assert in_handset(bare, "none") is bare
    select(bare)
    expect(bare, "VERIFY_BPIN", 0x6985)


def test_a_handset_of_ones_own() -> None:
    user = Watching()
    card = in_handset(bare_card(), Handset(user))
    select(card)
    expect(card, "VERIFY_BPIN")
    assert [command.text for command, _ in user.seen] == ["Enter BPIN"]


# Time.


def test_a_delayed_answer() -> None:
    clock = FakeClock()
    card = phone("right@1.5s", clock=clock)
    expect(card, "VERIFY_BPIN")
    for _ in range(3):
        sign(card, sw=0x6982)
        expect(card, "EXPORT_PUBKEYS", part="FIRST")
        expect(card, "GET_VERSION")
    clock.now += 1.25
    sign(card, sw=0x6982)
    clock.now += 0.25
    sign(card)


def test_delayed_wrong_and_then_right() -> None:
    clock = FakeClock()
    card = phone("wrong@1s,right@2s", clock=clock)
    expect(card, "VERIFY_BPIN")
    clock.now += 1
    sign(card, sw=0x6982)
    clock.now += 1.75
    sign(card, sw=0x6982)
    clock.now += 0.25
    sign(card)


def test_silence_that_ends_lets_the_app_ask_again() -> None:
    clock = FakeClock()
    card = phone("silent@30s,right", clock=clock)
    expect(card, "VERIFY_BPIN")
    expect(card, "VERIFY_BPIN")
    sign(card, sw=0x6982)
    clock.now += 30
    sign(card, sw=0x6982)
    expect(card, "VERIFY_BPIN")
    sign(card)


def test_reset_takes_a_dialogue_off_the_screen() -> None:
    clock = FakeClock()
    card = phone("right@1s,silent", clock=clock)
    expect(card, "VERIFY_BPIN")
    card.reset()
    clock.now += 5
    select(card)
    sign(card, sw=0x6982)


# Other threads.


def test_an_answer_from_another_thread() -> None:
    user = Watching()
    card = Handset(user).insert(bare_card())
    select(card)
    derive(card)
    expect(card, "VERIFY_BPIN")
    ((_, respond),) = user.seen
    sign(card, sw=0x6982)
    thread = threading.Thread(target=respond, args=(Reply(Result.PERFORMED, BPIN), 0.0))
    thread.start()
    thread.join()
    sign(card)


def test_a_dialogue_is_answered_once() -> None:
    user = Watching()
    card = Handset(user).insert(bare_card())
    select(card)
    derive(card)
    expect(card, "VERIFY_BPIN")
    first = user.seen[0][1]
    first(Reply(Result.PERFORMED, "000000"), 0.0)
    assert len(user.seen) == 2
    first(Reply(Result.PERFORMED, BPIN), 0.0)
    sign(card, sw=0x6982)
    user.seen[1][1](Reply(Result.PERFORMED, BPIN), 0.0)
    sign(card)
    user.seen[1][1](Reply(Result.PERFORMED, "000000"), 0.0)
    sign(card)


def test_an_answer_to_a_dialogue_from_before_a_reset() -> None:
    user = Watching()
    card = Handset(user).insert(bare_card())
    select(card)
    derive(card)
    expect(card, "VERIFY_BPIN")
    card.reset()
    select(card)
    user.seen[0][1](Reply(Result.PERFORMED, BPIN), 0.0)
    sign(card, sw=0x6982)
    expect(card, "VERIFY_BPIN")
    user.seen[0][1](Reply(Result.PERFORMED, BPIN), 0.0)
    sign(card, sw=0x6982)
    user.seen[1][1](Reply(Result.PERFORMED, BPIN), 0.0)
    sign(card)


def test_a_second_thought_replaces_an_answer_not_yet_due() -> None:
    clock, user = FakeClock(), Watching()
    card = Handset(user, clock=clock).insert(bare_card())
    select(card)
    derive(card)
    expect(card, "VERIFY_BPIN")
    respond = user.seen[0][1]
    respond(Reply(Result.TERMINATED_BY_USER), 10.0)
    respond(Reply(Result.PERFORMED, BPIN), 1.0)
    clock.now += 1
    sign(card)


def test_many_threads_at_one_card() -> None:
    card = verified_card()
    derive(card)
    wanted, found = sign(card), []

    def work() -> None:
        for _ in range(50):
            found.append(card.transmit(apdu("SIGN", coin_type=60, slot=1, digest=bytes(range(32)))))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted + b"\x90\x00"] * 200


def test_a_reply_never_shows_what_was_typed() -> None:
    assert BPIN not in repr(Reply(Result.PERFORMED, BPIN))
    assert BPIN not in repr(TerminalResponse(1, 0x23, 4, 0, BPIN))


# Other cards.


class OtherCard:
    """A card that is not ours: asks what it is told to, one command after the other, and keeps the answers."""

    def __init__(self, *asks: bytes) -> None:
        self.asks = list(asks)
        self.responses: list[TerminalResponse] = []
        self.fetches = 0

    def reset(self) -> bytes:
        return b"\x3b\x00"

    def _end(self) -> bytes:
        return bytes((0x91, len(self.asks[0]))) if self.asks else b"\x90\x00"

    def transmit(self, command: bytes) -> bytes:
        match command[:2]:
            case b"\x80\x10":
                assert command[4:] == b"\x03\x01\x00\x07"
                return b"\x90\x00"
            case b"\x80\x12":
                assert command[4] == len(self.asks[0])
                self.fetches += 1
                return self.asks[0] + b"\x90\x00"
            case b"\x80\x14":
                self.responses.append(TerminalResponse.parse(command[5:]))
                self.asks.pop(0)
                return self._end()
        return self._end()


def proactive(body: str) -> bytes:
    raw = bytes.fromhex(body.replace(" ", ""))
    return b"\xd0" + bytes((len(raw),)) + raw


UNKNOWN = {
    "REFRESH": "8103010104 82028182",
    "POLL INTERVAL": "8103020300 82028182 8402011E",
    "SET UP MENU": "8103032500 82028182 8504 4D656E75 8F0601 4974656D31",
    "SEND SHORT MESSAGE": "8103041300 82028183 8B0101",
    "PROVIDE LOCAL INFORMATION": "8103052600 82028182",
    "OPEN CHANNEL": "8103064001 82028182 3501 03",
}


@pytest.mark.parametrize("name", list(UNKNOWN))
def test_what_this_phone_cannot_do_is_beyond_its_capabilities(name: str) -> None:
    raw = proactive(UNKNOWN[name])
    user = Watching()
    other = OtherCard(raw)
    card = Handset(user).insert(other)
    assert card.transmit(b"\x00\xca\x00\x00") == b"\x90\x00"
    assert user.seen == []
    (response,) = other.responses
    assert response.result == 0x30
    assert (response.number, response.type, response.qualifier) == tuple(raw[4:7])


def test_a_card_that_asks_on_and_on() -> None:
    ask = ProactiveCommand(CommandType.DISPLAY_TEXT, 0x81, "hello").encode()
    inkey = ProactiveCommand(CommandType.GET_INKEY, 0x04, "Yes?").encode()
    other = OtherCard(ask, proactive(UNKNOWN["REFRESH"]), inkey, inkey, ask)
    card = Handset(ScriptedUser("right,wrong")).insert(other)
    assert card.transmit(b"\x00\xca\x00\x00") == b"\x90\x00"
    assert [(r.result, r.text) for r in other.responses] == [(0, None), (0x30, None), (0, "\1"), (0, "\0"), (0, None)]


def test_a_card_that_asks_right_after_power() -> None:
    class Eager(OtherCard):
        def transmit(self, command: bytes) -> bytes:
            response = super().transmit(command)
            return self._end() if command[1] == 0x10 else response

    other = Eager(ProactiveCommand(CommandType.DISPLAY_TEXT, 0, "welcome").encode())
    Handset(ScriptedUser("right")).insert(other)
    assert [response.result for response in other.responses] == [0]


@pytest.mark.parametrize("raw", [b"", b"\xd0\x05\x81\x03\x01", b"\xd1\x00"])
def test_what_is_no_proactive_command_is_left_alone(raw: bytes) -> None:
    class Babbling(OtherCard):
        def transmit(self, command: bytes) -> bytes:
            if command[1] == 0x12:
                self.fetches += 1
                return raw + b"\x90\x00"
            return b"\x90\x00" if command[1] == 0x10 else b"\x01\x91\x10"

    other = Babbling()
    card = Handset(Watching()).insert(other)
    assert card.transmit(b"\x00\xca\x00\x00") == b"\x01\x90\x00"
    assert (other.fetches, other.responses) == (1, [])


def test_a_card_that_asks_anew_before_it_was_answered() -> None:
    """The answer that is under way was to the first dialogue, and is not given to the second."""

    class Hasty(OtherCard):
        def transmit(self, command: bytes) -> bytes:
            if command[1] == 0x12:
                return self.asks.pop(0) + b"\x90\x00"
            if command[1] == 0x14:
                self.responses.append(TerminalResponse.parse(command[5:]))
                return b"\x90\x00"
            return b"\x90\x00" if command[1] == 0x10 else self._end()

    clock, user = FakeClock(), Watching()
    other = Hasty(*(ProactiveCommand(CommandType.GET_INPUT, 4, "?", 6, 6, number).encode() for number in (1, 2)))
    card = Handset(user, clock=clock).insert(other)
    card.transmit(b"\x00\xca\x00\x00")
    user.seen[0][1](Reply(Result.PERFORMED, "111111"), 5.0)
    card.transmit(b"\x00\xca\x00\x00")
    clock.now += 9
    card.transmit(b"\x00\xca\x00\x00")
    assert other.responses == []
    user.seen[1][1](Reply(Result.PERFORMED, "222222"), 0.0)
    assert [(response.number, response.text) for response in other.responses] == [(2, "222222")]


def test_refusals_pass_through() -> None:
    card = phone("right")
    assert exchange(card, "807C000001") == (b"", 0x6700)
    assert isinstance(card.card, Judge)
    assert card.transmit(b"") == b"\x67\x00"


# A user at the terminal.


class Terminal:
    """Stands for the terminal: what is typed there, and what was asked for; a hidden entry must ask hidden."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *typed: str) -> None:
        self.typed = list(typed)
        self.prompts: list[tuple[str, bool]] = []
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr("bsim.handset.terminal._keep_terminal", lambda: None)
        monkeypatch.setattr("bsim.handset.terminal.getpass", lambda prompt: self._ask(prompt, True))
        monkeypatch.setattr("builtins.input", lambda prompt: self._ask(prompt, False))

    def _ask(self, prompt: str, hidden: bool) -> str:
        self.prompts.append((prompt.strip(), hidden))
        text = self.typed.pop(0)
        if text == "^D":
            raise EOFError
        return text


def finish_dialogues() -> None:
    while waiting := [thread for thread in threading.enumerate() if thread.name == "bsim-handset"]:
        for thread in waiting:
            thread.join()


def test_terminal_user(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(monkeypatch, "000000", BPIN)
    card = in_handset(bare_card(), "ask")
    select(card)
    derive(card)
    expect(card, "VERIFY_BPIN")
    finish_dialogues()
    sign(card)
    assert terminal.prompts == [
        ("[phone] Enter BPIN:", True),
        ("[phone] Wrong BPIN, 9 tries left. Enter BPIN:", True),
    ]


@pytest.mark.parametrize("typed", ["", "^D"])
def test_terminal_user_who_types_nothing(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    Terminal(monkeypatch, typed)
    card = in_handset(bare_card(), "ask")
    select(card)
    derive(card)
    expect(card, "VERIFY_BPIN")
    finish_dialogues()
    sign(card, sw=0x6982)


@pytest.mark.parametrize(("typed", "text"), [("y", "\1"), ("Yes", "\1"), ("n", "\0"), ("whatever", "\0")])
def test_terminal_user_says_yes_or_no(monkeypatch: pytest.MonkeyPatch, typed: str, text: str) -> None:
    terminal = Terminal(monkeypatch, typed)
    other = OtherCard(ProactiveCommand(CommandType.GET_INKEY, 0x04, "Sure?").encode())
    card = Handset(TerminalUser()).insert(other)
    card.transmit(b"\x00\xca\x00\x00")
    finish_dialogues()
    assert [response.text for response in other.responses] == [text]
    assert terminal.prompts == [("[phone] Sure? (y/n):", False)]


def test_terminal_user_reads_texts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(monkeypatch)
    other = OtherCard(ProactiveCommand(CommandType.DISPLAY_TEXT, 0, "hello\x1b[2J").encode())
    Handset(TerminalUser()).insert(other).transmit(b"\x00\xca\x00\x00")
    assert "[phone] hello<1B>[2J" in capsys.readouterr().err
    assert [response.result for response in other.responses] == [0]


def test_ask_wants_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(ValueError, match="needs a terminal"):
        in_handset(bare_card(), "ask")


def test_new_card_in_a_phone() -> None:
    """The helper every other test leans on."""
    card = new_card()
    assert isinstance(card, CardInHandset)
    expect(card, "VERIFY_BPIN")
