"""Conformance: what is examined, how it is reported, and that a card somebody needs is left as it was."""

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from quirks import planted

from bsim.applets.wallet_state import MAX_TRIES
from bsim.cli import main
from bsim.lab import conform, diff, report, report_html
from bsim.lab.cases import commands, scenario
from bsim.lab.conform import Status
from bsim.lab.guard import EVERYTHING, FLOOR, Guard, Permit, Unsafe, danger_of
from bsim.lab.runner import run
from bsim.lab.subject import Seen, real, subject
from bsim.lab.transcript import parse
from bsim.profiles import personalisation, personalise, power_on, ram_card
from bsim.spec import Danger
from bsim.store import RamStore

SELECT = bytes.fromhex("00A4040C10A000000533C000FF860000000000054D")


class Held:
    """A card in a reader, watched: what is stored is looked at after every command."""

    def __init__(self, *quirks, tries=MAX_TRIES, blank=False, bpin="123456"):
        self.store = RamStore()
        personalise(self.store, personalisation(blank=blank, bpin=bpin))
        self.store.write({"wallet.tries": bytes((tries,))})
        self.before = dict(self.store.read())
        self.card = planted(power_on(self.store), *quirks)
        self.sent = 0
        self.fewest = tries

    def reset(self):
        return self.card.reset()

    def transmit(self, command):
        self.sent += 1
        response = self.card.transmit(command)
        self.fewest = min(self.fewest, self.store.read()["wallet.tries"][0])
        return response

    def close(self):
        pass


def examined(subject_, bpin="123456"):
    return list(conform.examine(conform.cases(subject_, subject_.look()), subject_, bpin))


def statuses(results):
    return {result.status for result in results}


def test_our_own_card_conforms():
    results = examined(subject("ram", Permit()))
    assert statuses(results) == {Status.PASS}
    assert {result.case.command for result in results if result.case.command} == set(commands())


@pytest.mark.parametrize("permit", [Permit(), Permit(writes=True, tries=10), EVERYTHING])
def test_a_card_of_another_seed_conforms(permit):
    results = examined(real("card", Held(), permit))
    assert statuses(results) <= {Status.PASS, Status.SKIPPED}
    assert sum(result.status is Status.PASS for result in results) > 150


def test_a_blank_card_conforms():
    results = examined(real("card", Held(blank=True), Permit()))
    assert statuses(results) == {Status.PASS, Status.SKIPPED}


def test_by_default_nothing_on_a_real_card_changes():
    card = Held(tries=3)
    examined(real("card", card, Permit()))
    assert dict(card.store.read()) == card.before
    assert card.sent > 200


@pytest.mark.parametrize("tries", [None, 3, 2, 1])
def test_the_last_two_tries_are_never_spent(tries):
    """More than 10,000 commands, with a BPIN that is wrong; the counter is read after each."""
    card, twin = Held(tries=3, bpin="111111"), Held(tries=3, bpin="111111")
    while card.sent < 2_600:
        for wrong in ("123456", "654321"):
            # What the user says of the tries is true at the start of each run, or he does not say.
            def permit(own):
                return Permit(tries=None if tries is None else min(tries, own.store.read()["wallet.tries"][0]))

            examined(real("card", card, permit(card)), wrong)
            twins = real("card", card, permit(card)), real("twin", twin, permit(twin))
            list(diff.meet(diff.script(twins), twins, wrong))
    assert card.fewest >= FLOOR
    assert twin.fewest >= FLOOR


def test_ten_thousand_commands_in_default_mode():
    card = Held(tries=3)
    while card.sent < 10_000:
        examined(real("card", card, Permit()))
        twins = real("card", card, Permit()), subject("ram", Permit())
        list(diff.meet(diff.script(twins), twins, "000000"))
    assert card.fewest == 3
    assert dict(card.store.read()) == card.before


def test_the_guard_sends_nothing_that_is_not_permitted():
    card = Held()
    guard = Guard(card, Permit())
    guard.transmit(SELECT)
    for raw in (
        "807A000006313131313131",
        "80A80002050000003C01",
        "807C000000",
        "80E400000000",
        "00200001083132333435363738",
    ):
        with pytest.raises(Unsafe):
            guard.transmit(bytes.fromhex(raw))
    assert card.sent == guard.sent == 1


def test_every_command_has_a_danger_and_unknown_ones_are_the_worst():
    assert {command.danger for command in commands().values()} == set(Danger)
    known = {command.ins for command in commands().values()}
    assert danger_of(b"\x80\xe5\0\0") is danger_of(b"\0\xd7\0\0\1\0") is Danger.IRREVERSIBLE
    assert 0xE5 not in known
    # A class that no command has does not make it harmless: a card may not look at the class.
    assert danger_of(b"\x20\x76\0\1") is Danger.IRREVERSIBLE
    assert danger_of(bytes.fromhex("801400000C810301230482028281830100")) is Danger.SAFE
    assert danger_of(bytes.fromhex("80140000158103012304820282818301008D0704313233343536")) is Danger.CONSUMES_TRY


def test_what_differs_is_told_by_command():
    results = examined(subject_of("wrong status word", "6B00 for P1 and P2"))
    differing = {result.case.command for result in results if result.status is Status.DIFFERS}
    assert differing == {"DERIVE_KEY", "STATUS", "GSM_STATUS", "GP_GET_STATUS"}
    assert not conform.conforms(results)


def test_a_card_without_a_command_does_not_support_it():
    class Without(Held):
        def transmit(self, command):
            return b"\x6d\x00" if command[1] == 0xF2 else super().transmit(command)

    results = examined(real("card", Without(), Permit()))
    told = {result.status for result in results if result.case.command == "STATUS" and result.case.kind == "example"}
    assert told == {Status.NOT_SUPPORTED}


def subject_of(*quirks):
    return real("card", Held(*quirks), EVERYTHING)


def test_no_report_holds_a_backup_of_the_seed():
    """The examples' password is public, so what is encrypted under it is as good as the seed."""

    class Sealing(Held):
        def __init__(self, *quirks):
            super().__init__(*quirks)
            self.sealed = []

        def transmit(self, command):
            response = super().transmit(command)
            if command[1] == 0x74 and len(response) > 2:
                self.sealed.append(response[29:45].hex().upper())
            return response

    for quirks in ((), ("one byte less",)):
        card = Sealing(*quirks)
        made = real("card", card, Permit(tries=10))
        text = "# x\nphone right\n> 00A4040C10A000000533C000FF860000000000054D\n< 9000\n> VERIFY_BPIN\n< 9000\n"
        scenario = parse(text + "> EXPORT_SEED key2=41414141\n< 6985\n", "x")
        results = list(conform.examine(conform.cases(made, made.look(), [scenario]), made, "123456"))
        written = report.junit("card", results) + report_html.page("card", results, "1")
        written += "\n".join(report.table(results)) + json.dumps(report.as_json("card", results))
        assert len(card.sealed) == 2
        assert not [sealed for sealed in card.sealed if sealed in written]


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in {"src", "href"}]


@pytest.fixture(scope="module")
def results():
    """What comes of a card with several quirks."""
    return examined(subject_of("extra byte", "missing TLV", "wrong status word"))


def test_reports(results):
    suites = ET.fromstring(report.junit("a <card>\x00", results))
    assert int(suites.get("tests")) == len(results) == len(list(suites.iter("testcase")))
    assert int(suites.get("failures")) == sum(result.status is Status.DIFFERS for result in results)
    said = json.loads(json.dumps(report.as_json("card", results)))
    assert said["conforms"] is False
    assert said["commands"]["DERIVE_KEY"]["differs"]
    text = report_html.page("a <card>", results, "1")
    page = Page()
    page.feed(text)
    assert all(link.startswith("#") for link in page.links), "one page, with nothing beside it"
    assert "script" not in page.tags
    assert "a &lt;card&gt;" in text
    assert "DERIVE_KEY" in "\n".join(report.table(results))


def test_reports_hold_no_secret(results):
    written = [report.junit("card", results), report_html.page("card", results, "1"), "\n".join(report.table(results))]
    written.append(json.dumps(report.as_json("card", results)))
    for secret in (b"654321", b"Passw0rd", b"passw0rd"):
        for text in written:
            assert secret.decode() not in text.replace("BPIN 654321", "").replace("the password Passw0rd", "")
            assert secret.hex().upper() not in text.upper()


def test_the_verb(tmp_path, capsys):
    scenario = tmp_path / "mine.txt"
    scenario.write_text("# mine\n> 00CA000002\n< 9000\n")
    files = ["--junit", str(tmp_path / "r.xml"), "--html", str(tmp_path / "r.html")]
    assert main(["conform", "--on", "ram", *files]) == 0
    assert "conforms: " in capsys.readouterr().out
    assert ET.parse(tmp_path / "r.xml").getroot().get("failures") == "0"
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert main(["conform", "--on", "ram", "--json", "--scenario", str(scenario)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [case["title"] for case in said["cases"] if case["status"] == "not supported"] == ["mine"] or not said[
        "conforms"
    ]
    assert main(["conform", "--on", "nothing.bsim"]) == 2
    assert main(["conform", "--tries-left", "11"]) == 2
    assert main(["conform", "--scenario", str(tmp_path / "none.txt")]) == 2
    assert main(["conform", "--dry-run"]) == 0
    assert "will be sent" in capsys.readouterr().err


def test_only_the_scenarios_are_run_where_that_is_asked_for(tmp_path, capsys):
    scenario = tmp_path / "mine.txt"
    scenario.write_text("# mine\n> 00CA000002\n< 9000\n")
    assert main(["conform", "--on", "ram", "--json", "--only", "--scenario", str(scenario)]) == 1
    assert [case["title"] for case in json.loads(capsys.readouterr().out)["cases"]] == ["mine"]
    for verb in (["conform"], ["diff", "--on", "ram", "--on", "ram"]):
        assert main([*verb, "--only"]) == 2
        assert "--only runs the scenarios, and none is given" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["conform"], ["diff", "--on", "ram", "--only"]])
@pytest.mark.parametrize(
    "text",
    [
        "> ZZ",
        "> NOPE",
        "> SIGN foo=1",
        "> SIGN coin_type=x",
        "> {nope}",
        "> 00CA0000\n< {x}9000",
        "phone bar",
        "> 00CA0000\n< {x:99999999999}",
    ],
)
def test_a_mistake_is_found_before_anything_is_sent(tmp_path, capsys, monkeypatch, verb, text):
    monkeypatch.setattr("bsim.lab.subject.subject", lambda *_, **__: pytest.fail("a card was opened"))
    scenario = tmp_path / "s.txt"
    scenario.write_text(text)
    assert main([*verb, "--on", "ram", "--scenario", str(scenario)]) == 2
    said = capsys.readouterr().err
    assert f"{scenario}: line {1 + text.count(chr(10))}: " in said
    assert "Traceback" not in said


@pytest.mark.parametrize("words", [["conform", "--html"], ["conform", "--junit"], ["diff", "--on", "ram", "--learn"]])
def test_a_report_that_cannot_be_written_is_told_first(tmp_path, capsys, monkeypatch, words):
    monkeypatch.setattr("bsim.lab.subject.subject", lambda *_, **__: pytest.fail("a card was opened"))
    assert main([*words, str(tmp_path / "none" / "r"), "--on", "ram"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main([*words, str(tmp_path), "--on", "ram"]) == 2
    assert "this is a folder" in capsys.readouterr().err


def test_what_was_not_kept_ends_a_scenario_in_words():
    made = subject("ram", Permit())
    for text, last in (("> 00CA0000{x}", "was not sent"), ("> 00CA000002\n< {x}", "")):
        transcript = parse(f"> 0002000000\n< {{x:4}}9000\n{text}\n", "x")
        done = run(scenario(transcript), made, "123456")
        assert [bool(exchange.wrong) for exchange in done.exchanges] == [True, True]
        assert done.exchanges[1].wrong == f"{last}: nothing is kept under the name x".removeprefix(": ")
        result = conform.judge(scenario(transcript), done)
        assert result.status is Status.DIFFERS
        assert result.words.startswith("line 1: answered")


def test_a_card_file_is_never_written(tmp_path, capsys):
    file = tmp_path / "card.bsim"
    assert main(["new", str(file)]) == 0
    before = file.read_bytes()
    assert main(["conform", "--on", str(file)]) == 0
    assert file.read_bytes() == before


def test_a_ram_card_is_what_the_examples_are_for():
    assert ram_card(personalisation()) is not None


def test_a_strict_card_conforms_without_what_extends_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    path = str(tmp_path / "strict.bsim")
    assert main(["new", path, "--profile", "strict"]) == 0
    results = examined(subject(path, Permit()))
    assert statuses(results) <= {Status.PASS, Status.SKIPPED}
    added = {name for name, command in commands().items() if command.extension}
    absent = [result for result in results if result.case.command in added]
    assert {result.case.command for result in absent} == added
    assert {result.status for result in absent} == {Status.PASS}


def test_a_card_in_a_reader_is_not_sent_what_only_ours_have():
    status = bytes.fromhex("80D0000000")
    careful, told = Guard(Held(), Permit()), Guard(Held(), Permit(extended=True))
    for guard in (careful, told):
        guard.transmit(SELECT)
    with pytest.raises(Unsafe):
        careful.transmit(status)
    assert told.transmit(status)[-2:] == b"\x90\0"
    names = {case.command for case in conform.cases(real("card", Held(), Permit()), Seen((), None))}
    assert not names & {name for name, command in commands().items() if command.extension}
