"""Faults: the language, every kind of fault, the same faults for the same seed, and rules that change at run time."""

import logging
import threading

import pytest
from helpers import BPIN, DIGEST, ETHEREUM, apdu, derive, exchange, expect, new_card, select, send, sign, verified_card

import bsim
from bsim.cli import main
from bsim.lab.fault_rules import ANY, Action, FaultError, Kind, Rule, parse, parse_file
from bsim.lab.faults import Faults
from bsim.lab.link_faults import LinkFaults
from bsim.ports import CardMute, CardRemoved
from bsim.spec.decode import Decoder

VERSION = "00CA000002"


class Counting:
    """A card that remembers what reached it."""

    def __init__(self, card):
        self.card = card
        self.commands: list[str] = []
        self.resets = 0

    def reset(self):
        self.resets += 1
        return self.card.reset()

    def transmit(self, command):
        self.commands.append(command.hex().upper())
        return self.card.transmit(command)


def faulty(*rules, seed=1, slept=None, card=None):
    """The test card, verified and with a key, counted underneath and faulty above."""
    card = card or verified_card()
    derive(card)
    counting = Counting(card)
    return Faults(counting, rules, seed=seed, sleep=(slept if slept is not None else []).append), counting


def sws(card, name, count, **values):
    return [f"{send(card, name, **values)[1]:04X}" for _ in range(count)]


def test_the_examples_of_the_documentation_parse():
    assert parse("on SIGN nth 3 answer 6985") == Rule(
        "on SIGN nth 3 answer 6985",
        (Action(Kind.ANSWER, data=b"\x69\x85"),),
        frozenset({"SIGN"}),
        nth=3,
    )
    delay = parse("on * delay 800ms±200").actions[0]
    assert (delay.seconds, delay.spread) == (0.8, 0.2)
    assert parse("delay 1.5s+-250ms").actions[0].spread == 0.25
    assert parse("on EXPORT_PUBKEYS remove-card").actions == (Action(Kind.REMOVE),)
    assert parse("on SIGN corrupt byte 5").actions[0].position == 5
    assert parse("corrupt byte any").actions[0].position == ANY
    assert parse("on DERIVE_KEY mute late").actions == (Action(Kind.MUTE, late=True),)
    assert parse("after 20 apdus reset").times == 1
    assert parse("after 20 apdus times 2 reset").times == 2
    assert parse("probability 0.01 answer 6F00").probability == 0.01
    several = parse("channel 3 p1 00 p2 01 on SIGN,EXPORT_SEED every 2 delay 1s then answer 6A80 late")
    assert (several.channel, several.p1, several.p2, several.every) == (3, 0, 1, 2)
    assert [action.late for action in several.actions] == [False, True]


@pytest.mark.parametrize(
    ("text", "word", "reason"),
    [
        ("", "", "a condition"),
        ("on", "", "the rule ends where the name"),
        ("on SIGNN mute", "SIGNN", "no command 'SIGNN'"),
        ("on SIGN", "", "a condition"),
        ("on SIGN on SIGN mute", "on SIGN mute", "twice"),
        ("on SIGN shout", "shout", "an action"),
        ("nth 0 mute", "0 mute", "no number from 1"),
        ("nth ² mute", "² mute", "no number from 1"),
        ("after 3 mute", "mute", "apdus or apdu is wanted"),
        ("probability 1.5 mute", "1.5", "no probability"),
        ("p1 100 mute", "100", "no byte in hex"),
        ("channel 20 mute", "20", "no channel"),
        ("answer 69", "69", "a status word"),
        ("answer 69x5", "69x5", "a status word"),
        ("delay 5", "5", "no time"),
        ("delay 99999999999s", "99999999999s", "longer than an hour"),
        ("delay 3600s±1ms", "3600s±1ms", "longer than an hour"),
        (f"delay {'9' * 400}s late", "9", "longer than an hour"),
        (f"nth {'9' * 5000} mute", "9", "no number from 1"),
        (f"channel {'9' * 5000} mute", "9", "no channel"),
        ("corrupt 5", "5", "byte is wanted"),
        ("corrupt byte 5 late", "late", "never late"),
        ("set both byte 1 00", "both", "command or response is wanted"),
        ("inject 00CA00", "00CA00", "a command APDU"),
        ("mute mute", "mute", "the rule ends here"),
        ("mute then", "", "an action"),
    ],
)
def test_mistakes_are_told_with_their_word(text, word, reason):
    with pytest.raises(FaultError) as told:
        parse(text)
    words, shown, mark = str(told.value).rsplit("\n", 2)
    assert reason in words
    assert shown == f"  {text}"
    pointed = text[mark.index("^") - 2 :]
    assert pointed.startswith(word) if word else not pointed


def test_an_hour_is_the_longest_delay():
    assert parse("delay 3600s").actions[0].seconds == 3600


def test_the_verb_says_what_is_wrong_with_rules(tmp_path, capsys):
    assert main(["apdu", "--faults", str(tmp_path / "none.txt"), VERSION]) == 2
    said = capsys.readouterr().err
    assert "none.txt: No such file" in said
    assert "Errno" not in said
    assert main(["apdu", "--fault", "delay 99999999999s", VERSION]) == 2
    assert "longer than an hour" in capsys.readouterr().err


def test_a_file_has_a_rule_a_line():
    rules = parse_file("# faults\n\non SIGN mute  # the worst\n  reset\n", "f.txt")
    assert [rule.text for rule in rules] == ["on SIGN mute", "reset"]
    with pytest.raises(FaultError, match=r"f\.txt:2: no command"):
        parse_file("reset\non X mute\n", "f.txt")


def test_answer_takes_the_place_of_the_card():
    card, under = faulty("on SIGN nth 3 answer 6985")
    values = {"coin_type": ETHEREUM, "slot": 1, "digest": DIGEST}
    assert sws(card, "SIGN", 4, **values) == ["9000", "9000", "6985", "9000"]
    assert len(under.commands) == 3
    card, _ = faulty("on GET_VERSION answer 00529000")
    assert exchange(card, VERSION) == (b"\x00\x52", 0x9000)


def test_late_is_after_the_card_did_it():
    card, _ = faulty("on DERIVE_KEY times 1 answer 6F00 late")
    derive(card, sw=0x6F00)
    assert [account.slot for account in bsim.Wallet(card).accounts()] == [1, 2]


def test_delays_are_in_their_range_and_drawn_from_the_seed():
    slept: list[float] = []
    card, _ = faulty("on * delay 800ms±200", "on GET_VERSION delay 1s late", slept=slept)
    for _ in range(50):
        expect(card, "EXPORT_PUBKEYS", part="FIRST")
    assert all(0.6 <= seconds <= 1.0 for seconds in slept)
    assert len(set(slept)) > 40
    again: list[float] = []
    other, _ = faulty("on * delay 800ms±200", slept=again)
    for _ in range(50):
        expect(other, "EXPORT_PUBKEYS", part="FIRST")
    assert slept == again
    slept.clear()
    exchange(card, VERSION)
    assert slept[1:] == [1.0]
    short: list[float] = []
    exchange(faulty("delay 1ms±900", slept=short)[0], VERSION)
    assert min(short) >= 0


@pytest.mark.parametrize(("action", "loss"), [("remove-card", CardRemoved), ("mute", CardMute)])
@pytest.mark.parametrize("late", [False, True])
def test_a_lost_card_stays_lost_until_it_is_reset(action, loss, late):
    card, under = faulty(f"on DERIVE_KEY times 1 {action}{' late' * late}")
    with pytest.raises(loss, match=r"\(fault 1: on DERIVE_KEY"):
        derive(card)
    assert len(under.commands) == late
    with pytest.raises(loss):
        exchange(card, VERSION)
    assert card.reset()[0] == 0x3B
    select(card)
    assert len(bsim.Wallet(card).accounts()) == 1 + late


def test_corruption_changes_one_byte_of_the_data():
    right = verified_card()
    derive(right)
    want = sign(right)
    card, _ = faulty("on SIGN corrupt byte 5")
    got = sign(card)
    assert [at for at, pair in enumerate(zip(want, got, strict=True), 1) if len(set(pair)) > 1] == [5]
    card, _ = faulty("on SIGN corrupt byte any")
    for _ in range(20):
        got = sign(card)
        assert sum(a != b for a, b in zip(want, got, strict=True)) == 1
    short, _ = faulty("corrupt byte 3", "corrupt byte any")
    assert exchange(short, "80A80002050000003C01") == (b"", 0x9000)


def test_reset_takes_what_dies_with_power():
    card, under = faulty("after 3 apdus reset")
    assert sws(card, "EXPORT_PUBKEYS", 3, part="FIRST") == ["9000"] * 3
    assert under.resets == 0
    assert sws(card, "EXPORT_PUBKEYS", 2, part="FIRST") == ["6D00", "6D00"]  # nothing is selected any more
    assert under.resets == 1


def test_edits_and_injections():
    card, under = faulty("on SIGN set command byte 10 02", "on GET_VERSION set response byte 2 99")
    assert send(card, "SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST)[1] == 0x6A88
    assert under.commands[-1][18:20] == "02"
    assert exchange(card, VERSION) == (b"\x00\x99", 0x9000)
    card, under = faulty(f"on GET_VERSION inject {VERSION} then inject 80C8000000 late", "set command byte 300 00")
    assert exchange(card, VERSION) == (b"\x00\x51", 0x9000)
    assert under.commands == [VERSION, VERSION, "80C8000000"]


def test_conditions_combine():
    card, _ = faulty("on EXPORT_PUBKEYS p2 01 answer 6A86", "on EXPORT_PUBKEYS channel 1 answer 6A82")
    assert sws(card, "EXPORT_PUBKEYS", 1, part="FIRST") == ["9000"]
    assert sws(card, "EXPORT_PUBKEYS", 1, part="NEXT") == ["6A86"]
    assert sws(card, "EXPORT_PUBKEYS", 1, part="FIRST", on=1) == ["6A82"]
    card, _ = faulty("on GET_VERSION every 3 times 2 answer 6F00")
    assert sws(card, "GET_VERSION", 10) == ["9000", "9000", "6F00"] * 2 + ["9000"] * 4
    card, _ = faulty("on GET_VERSION after 2 apdus nth 2 answer 6F00")
    assert sws(card, "GET_VERSION", 5) == ["9000", "9000", "9000", "6F00", "9000"]


def test_the_first_answer_counts_and_every_rule_counts_along():
    card, _ = faulty("on GET_VERSION answer 6F00", "on GET_VERSION answer 6985")
    assert sws(card, "GET_VERSION", 2) == ["6F00", "6F00"]
    assert [(rule.number, rule.fitted, rule.fired) for rule in card.list()] == [(1, 2, 2), (2, 2, 2)]


def test_probabilities_are_the_seeds():
    def run(seed, *more):
        card, _ = faulty("on GET_VERSION probability 0.2 answer 6F00", *more, seed=seed)
        return sws(card, "GET_VERSION", 300)

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 30 < run(3).count("6F00") < 90
    # Another rule changes nothing for this one.
    assert run(1, "on SIGN probability 0.5 mute", "delay 1ms±1") == run(1)
    assert set(sws(faulty("probability 1 answer 6F00")[0], "GET_VERSION", 9)) == {"6F00"}
    assert set(sws(faulty("probability 0 answer 6F00")[0], "GET_VERSION", 9)) == {"9000"}


def test_a_seed_is_drawn_where_none_is_given():
    assert Faults(new_card()).seed != Faults(new_card()).seed


def test_rules_come_and_go_while_it_runs():
    card, _ = faulty()
    assert card.list() == []
    number = card.add("on GET_VERSION answer 6F00")
    assert sws(card, "GET_VERSION", 1) == ["6F00"]
    assert [rule.text for rule in card.list()] == ["on GET_VERSION answer 6F00"]
    card.remove(number)
    assert sws(card, "GET_VERSION", 1) == ["9000"]
    with pytest.raises(KeyError):
        card.remove(number)
    with pytest.raises(FaultError):
        card.add("nonsense")
    assert card.add("reset") == number + 1


def test_rules_change_while_a_command_is_delayed():
    """Whoever changes rules never waits for the card."""
    delayed, go_on = threading.Event(), threading.Event()

    def sleep(_seconds):
        delayed.set()
        assert go_on.wait(30)

    card = Faults(new_card(), ["delay 1s"], seed=1, sleep=sleep)
    thread = threading.Thread(target=card.transmit, args=(bytes.fromhex(VERSION),))
    thread.start()
    assert delayed.wait(30)
    card.remove(card.list()[0].number)
    card.add("on SIGN mute")
    go_on.set()
    thread.join()
    assert card.transmit(bytes.fromhex(VERSION))[-2:] == b"\x90\0"


def test_a_rule_comes_while_the_first_command_is_taken_apart(monkeypatch):
    """Whoever adds it makes no second decoder, which nobody would reset."""
    made = []

    class Interrupted(Decoder):
        def __init__(self, spec):
            made.append(self)
            if len(made) == 1:
                card.add("on GET_VERSION answer 6985")
            super().__init__(spec)

    monkeypatch.setattr("bsim.spec.decode.Decoder", Interrupted)
    card = Faults(new_card())
    select(card)
    assert card.transmit(bytes.fromhex(VERSION)) == b"\x69\x85"
    assert len(made) == 1


def test_a_rule_that_fires_again_and_again_is_told_once(caplog):
    caplog.set_level(logging.DEBUG, "bsim")
    card, _ = faulty("on GET_VERSION answer 6F00", "on GET_VERSION nth 3 delay 0ms")
    link = LinkFaults(["on GET_VERSION lose-frame 1"])
    sws(card, "GET_VERSION", 3)
    for _ in range(3):
        link.due(apdu("GET_VERSION"))
    said = [(record.levelname, record.getMessage().partition(" (")[0]) for record in caplog.records]
    assert [words.partition(" at ")[0] for level, words in said if level == "INFO"] == [
        "fault 1 fired",
        "fault 2 fired",
        "link fault 1 fired",
    ]
    assert [words for level, words in said if level == "DEBUG"][:2] == [
        "fault 1 fired at command 2",
        "fault 1 fired at command 3",
    ]
    assert len(said) == 7


def test_the_log_names_the_rule_and_no_secret(caplog):
    caplog.set_level(logging.INFO, "bsim")
    digits = BPIN.encode().hex()
    card, _ = faulty("on GET_VERSION nth 2 answer 6F00", f"on EXPORT_PUBKEYS inject 807A000006{digits}")
    sws(card, "GET_VERSION", 2)
    assert "fault 1 fired at command 2 (GET_VERSION): on GET_VERSION nth 2 answer 6F00" in caplog.text
    sws(card, "EXPORT_PUBKEYS", 1, part="FIRST")
    assert "inject 807A000006************" in caplog.text
    assert digits not in caplog.text
    assert digits not in repr(card.list())
    assert digits not in repr(parse(f"inject 807A000006{digits}"))


def test_a_wallet_is_told_of_a_pulled_card():
    wallet = bsim.Wallet(Faults(new_card(), ["on SIGN remove-card"], seed=1))
    wallet.derive(ETHEREUM)
    wallet.verify_bpin()
    with pytest.raises(CardRemoved, match="taken out of its reader"):
        wallet.sign(ETHEREUM, 1, DIGEST)
