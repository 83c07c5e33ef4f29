"""The twin test: each planted quirk is found, equal cards are equal, and what is learned can be played."""

import json
import tomllib
from importlib.resources import files

import pytest
from quirks import QUIRKS, planted

from bsim.cli import main
from bsim.lab import diff, learn
from bsim.lab.cases import commands
from bsim.lab.guard import EVERYTHING, Permit
from bsim.lab.likeness import Latency, Like, Likeness, LikenessError, built_in, load, read, write
from bsim.lab.shape import Shapes, equal_length
from bsim.lab.subject import real, subject
from bsim.profiles import personalisation, ram_card


class Held:
    """A card that can be closed, as those of readers are."""

    def __init__(self, card):
        self.card, self.reset, self.transmit = card, card.reset, card.transmit

    def close(self):
        pass


def held(*quirks, permit=EVERYTHING):
    return real("card", Held(planted(ram_card(personalisation()), *quirks)), permit)


def compared(*twins, scenarios=(), only=False):
    pairs = list(diff.meet(diff.script(twins, scenarios, only=only), twins, "123456"))
    assert any(not pair.first.skipped for pair in pairs)
    return diff.differences(pairs), pairs


@pytest.mark.parametrize("quirk", QUIRKS)
def test_each_quirk_is_found(quirk):
    found, _ = compared(held(quirk), held())
    about = QUIRKS[quirk][0].lower()
    assert found
    assert [one for one in found if about in one.command.lower() or about in one.title.lower()], found


def test_a_quirk_is_found_on_either_side_and_told_once():
    found, _ = compared(held(), held("6B00 for P1 and P2"))
    assert {one.command for one in found} == {"STATUS", "GSM_STATUS", "GP_GET_STATUS"}
    assert {(one.first[:4], one.second[:4]) for one in found} == {("6A86", "6B00")}
    assert len(found) == len({one.sent for one in found})


def test_the_order_of_checks_is_told_as_such():
    found, _ = compared(held("order of checks"), held())
    assert "order of checks" in {one.what for one in found}


def test_equal_cards_are_equal():
    assert compared(held(), held())[0] == []
    assert compared(subject("ram", Permit()), subject("ram", Permit()))[0] == []
    assert compared(held(permit=Permit()), subject("ram", Permit()))[0] == []


def other_seed(length, *quirks):
    words = {16: "abandon " * 11 + "about", 32: "abandon " * 23 + "art"}[length]
    return real("card", Held(planted(ram_card(personalisation(mnemonic=words)), *quirks)), EVERYTHING)


def test_the_length_of_a_mnemonic_is_no_difference():
    found, pairs = compared(other_seed(16), other_seed(32))
    assert found == []
    sealed = [{len(run.exchanges[-1].data) for run in (pair.first, pair.second) if run.exchanges} for pair in pairs]
    assert {61, 77} in sealed
    assert "EXPORT_SEED" not in "\n".join(learn.learn("card", pairs).notes)


def test_an_envelope_of_no_seed_is_a_difference():
    command = commands()["EXPORT_SEED"]
    lengths = 61, 65, 69, 73, 77
    assert all(equal_length(command, bytes(61), bytes(length)) for length in lengths)
    assert len({Shapes().of(command, bytes(5), bytes(length), 0x9000) for length in lengths}) == 1
    assert not equal_length(command, bytes(61), bytes(62))
    assert not equal_length(command, bytes(61), b"")
    assert not equal_length(commands()["GET_CHALLENGE"], bytes(61), bytes(65))


def test_how_long_a_signature_happens_to_be_is_no_difference():
    """Not in a certificate either, which ends in one: any two cards differ there."""
    assert equal_length(commands()["GET_CERTIFICATE"], bytes(120), bytes(121))
    assert not equal_length(commands()["EXPORT_PUBKEYS"], bytes(120), bytes(121))


def test_what_was_not_compared_is_told(tmp_path, capsys):
    scenario = tmp_path / "s.txt"
    scenario.write_text("card blank\n> 00CA000002\n")
    both = ["--on", str(tmp_path / "a.bsim"), "--on", "ram"]
    assert main(["new", both[1]]) == 0
    capsys.readouterr()
    assert main(["diff", *both, "--only", "--scenario", str(scenario), "--rounds", "2"]) == 0
    said = capsys.readouterr()
    assert "1 cases" in said.err
    assert said.out == "equal in 0 cases of 2 rounds\n  not compared, 2: needs a blank card\n"


def test_one_difference_is_told_as_one(tmp_path, capsys):
    two = ["--on", "ram", "--on", str(tmp_path / "a.bsim")]
    assert main(["new", two[3], "--blank"]) == 0
    capsys.readouterr()
    assert main(["diff", *two, "--apdu", "00A4040C10A000000533C000FF860000000000054D", "--apdu", "80C8000000"]) == 1
    assert "1 difference in 1 case\n" in capsys.readouterr().out


def test_time_is_compared_when_asked_for():
    slow = Like(ram_card(personalisation()), Likeness("slow", "", latency={"GET_VERSION": Latency(0.01, 0.01)}))
    _, pairs = compared(real("slow", Held(slow), Permit()), held(permit=Permit()))
    assert [one.command for one in diff.timing(pairs)] == ["GET_VERSION"]


def test_what_is_learned_is_played():
    quirks = ("wrong status word", "6B00 for P1 and P2", "missing TLV", "other version")
    found, pairs = compared(held(*quirks), held())
    text = write(learn.learn("card", pairs))
    likeness = read(text)
    assert likeness.sws["DERIVE_KEY", "6A80"] == "6A81"
    assert likeness.sws["STATUS", "6A86"] == "6B00"
    assert any(one.startswith("00CA0000") for one in likeness.answers)
    assert len(found) >= len(quirks)
    again = real("alike", Held(Like(ram_card(personalisation()), likeness, sleep=lambda _: None)), EVERYTHING)
    assert compared(held(*quirks), again)[0] == []


def test_a_learned_profile_holds_nothing_of_the_card():
    _, pairs = compared(held("other version"), held())
    text = write(learn.learn("card", pairs))
    keys = [exchange.response for pair in pairs for exchange in pair.first.exchanges if exchange.raw[1] == 0xC8]
    keys += [
        exchange.response for pair in pairs for exchange in pair.first.exchanges if exchange.raw[:2] == b"\x80\xca"
    ]
    own = [answer[:-2] for answer in keys if len(answer) > 8]
    assert own
    for secret in [*own, b"123456", b"Passw0rd"]:
        assert secret.hex().upper() not in text.upper()
    assert "123456" not in text


def test_latency():
    waits = []
    likeness = Likeness(
        "a", "b", per_byte=0.001, latency={"default": Latency(1.0, 1.0), "GET_VERSION": Latency(5.0, 9.0)}
    )
    card = Like(ram_card(personalisation()), likeness, sleep=waits.append)
    card.reset()
    card.transmit(bytes.fromhex("00A4040C10A000000533C000FF860000000000054D"))
    assert 0.9 < waits[0] < 1.03
    for _ in range(400):
        card.transmit(bytes.fromhex("00CA000002"))
    durations = sorted(waits[1:])
    assert 4.5 < durations[200] < 5.6
    assert 7.5 < durations[380] < 10.5


def test_the_built_in_profile_says_that_it_is_none_of_a_card():
    assert built_in() == ["uicc"]
    uicc = load("uicc")
    assert uicc.approximation
    assert uicc.per_byte == pytest.approx(12 / 223_200, rel=0.01)
    assert "SIGN" in uicc.latency
    text = (files("bsim.lab") / "likenesses" / "uicc.toml").read_text(encoding="utf-8")
    assert "APPROXIMATION" in text.splitlines()[0]


def test_profiles_that_are_none(tmp_path):
    with pytest.raises(LikenessError, match=r"a profile is a TOML file, or uicc"):
        load(str(tmp_path / "nothing.toml"))
    for number, text in enumerate(["", "format = 2", "x = ["]):
        (tmp_path / f"{number}.toml").write_text(text)
        with pytest.raises(LikenessError, match=f"{number}.toml"):
            load(str(tmp_path / f"{number}.toml"))


def test_the_verb(tmp_path, capsys):
    assert main(["diff", "--on", "ram", "--on", "ram", "--json", "--learn", str(tmp_path / "p.toml")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["equal"]
    assert said["compared"] > 250
    assert "SIGN" in tomllib.loads((tmp_path / "p.toml").read_text())["latency"]
    assert main(["apdu", "--like", str(tmp_path / "p.toml"), "00A4040C07A0000001510000"]) == 0
    blank = tmp_path / "blank.bsim"
    assert main(["new", str(blank), "--blank"]) == 0
    capsys.readouterr()
    arguments = ["--apdu", "00A4040C10A000000533C000FF860000000000054D", "--apdu", "80C8000000"]
    assert main(["diff", "--on", "ram", "--on", str(blank), *arguments]) == 1
    assert "status word: EXPORT_PUBKEYS" in capsys.readouterr().out
    assert main(["diff", "--on", "ram"]) == 2
    assert main(["diff", "--on", "ram", "--on", "nothing.bsim"]) == 2
    assert main(["diff", "--on", "ram", "--on", "ram", "--dry-run"]) == 0
    assert main(["apdu", "--like", "nothing.toml", "00CA000002"]) == 2
