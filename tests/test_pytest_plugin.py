"""The pytest plugin, as other projects have it: their tests, run by pytest in a folder of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bsim.lab.testbed import BenchCard, Wanted

ROOT = Path(__file__).parents[1]
WALLET = """
    import pytest

    def test_sign(bsim_wallet):
        account = bsim_wallet.derive(60)
        assert account.address == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
        bsim_wallet.verify_bpin()
        assert bsim_wallet.sign(60, account.slot, bytes(32))[0] == 0x30
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run tests written here, with this plugin alone; answers the result."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run_text(text: str, *words: str) -> pytest.RunResult:
        pytester.makepyfile(text)
        return pytester.runpytest_inprocess("-p", "bsim.pytest_plugin", "-p", "no:cacheprovider", *words)

    return run_text


def test_a_wallet_signs(run):
    run(WALLET).assert_outcomes(passed=1)


def test_every_option_of_the_marker(run):
    run("""
        import pytest, bsim
        from bsim.client import CardError

        pytestmark = pytest.mark.bsim(state="one-try-left", handset="wrong")

        def sw(wallet, slot=1):
            wallet._wait = 0
            with pytest.raises(CardError) as refusal:
                wallet.sign(60, slot, bytes(32))
            return f"{refusal.value.sw:04X}"

        def test_of_the_module(bsim_wallet, bsim_handset):
            bsim_wallet.verify_bpin()
            assert sw(bsim_wallet) == "6983"
            assert len(bsim_handset.shown) >= 1

        @pytest.mark.bsim(handset="right")
        def test_the_nearest_wins(bsim_wallet):
            bsim_wallet.verify_bpin()
            assert bsim_wallet.sign(60, 1, bytes(32))

        @pytest.mark.bsim(state=None, handset="right", fault="on SIGN nth 2 answer 6985")
        def test_faults(bsim_card, bsim_wallet):
            bsim_wallet.derive(60)
            bsim_wallet.verify_bpin()
            bsim_wallet.sign(60, 1, bytes(32))
            assert sw(bsim_wallet) == "6985"
            bsim_card.faults.remove(1)
            bsim_card.faults.add("on SIGN remove-card")
            with pytest.raises(bsim.ports.CardRemoved):
                bsim_wallet.sign(60, 1, bytes(32))

        @pytest.mark.bsim(state=None, fault=["on SIGN answer 6985", "on GET_VERSION answer 6A88"])
        def test_several_faults(bsim_wallet):
            assert sw(bsim_wallet) == "6985"
            with pytest.raises(CardError, match="6A88"):
                bsim_wallet.version()

        @pytest.mark.bsim(state=None, profile="strict")
        def test_profile(bsim_card, bsim_wallet):
            assert bsim_card.transmit(bytes.fromhex("80D0000000")) == bytes.fromhex("6D00")

        @pytest.mark.bsim(state=None, handset="right", bpin="987654", new_bpin="111111")
        def test_bpin(bsim_wallet, bsim_handset):
            bsim_wallet.derive(60)
            bsim_wallet.verify_bpin()
            assert bsim_wallet.sign(60, 1, bytes(32))
            bsim_wallet.update_bpin()

        @pytest.mark.bsim(state=None, mnemonic="zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong")
        def test_mnemonic(bsim_wallet):
            assert bsim_wallet.derive(60).address != "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

        @pytest.mark.bsim(state=None, blank=True)
        def test_blank(bsim_wallet):
            with pytest.raises(CardError, match="6A88"):
                bsim_wallet.accounts()

        @pytest.mark.bsim(state="factory")
        def test_a_state_without_a_seed(bsim_wallet):
            with pytest.raises(CardError, match="6A88"):
                bsim_wallet.accounts()

        @pytest.mark.bsim(state="full-127")
        def test_full(bsim_wallet):
            assert len(bsim_wallet.accounts()) == 127

        @pytest.mark.bsim(state=None, iccid="89860312345678901234")
        def test_iccid(bsim_wallet):
            assert bsim_wallet.iccid() == "89860312345678901234"
    """).assert_outcomes(passed=11)


def test_the_test_is_the_phones_user(run):
    run("""
        import pytest
        from bsim.client import CardError, Wallet

        @pytest.mark.bsim(handset="manual")
        def test_it_types(bsim_card, bsim_handset):
            wallet = Wallet(bsim_card, wait=0)
            wallet.derive(60)
            assert bsim_handset.text is None
            wallet.verify_bpin()
            assert bsim_handset.text == "Enter BPIN"
            with pytest.raises(CardError, match="6982"):
                wallet.sign(60, 1, bytes(32))
            bsim_handset.type("000000")
            assert "9 tries left" in bsim_handset.text
            bsim_handset.type("123456")
            assert bsim_handset.text is None
            assert wallet.sign(60, 1, bytes(32))
            bsim_card.reset()
            wallet.select()
            wallet.verify_bpin()
            bsim_handset.cancel()
            with pytest.raises(CardError, match="6982"):
                wallet.sign(60, 1, bytes(32))
            wallet.verify_bpin()
            bsim_handset.script("right")
            assert wallet.sign(60, 1, bytes(32))
            with pytest.raises(ValueError, match="nothing that waits"):
                bsim_handset.confirm()
            with pytest.raises(ValueError, match="nothing that waits"):
                bsim_handset.deny()

        @pytest.mark.bsim(handset="none")
        def test_no_phone(bsim_card):
            assert bsim_card.phone is None
    """).assert_outcomes(passed=2)


def test_snapshots_and_forks(run):
    run("""
        from bsim.client import Wallet

        def test_them(bsim_card, bsim_wallet):
            bsim_card.snapshot("empty")
            bsim_wallet.derive(60)
            other = Wallet(bsim_card.fork())
            bsim_card.restore("empty")
            bsim_wallet.select()
            assert bsim_wallet.accounts() == []
            assert len(other.accounts()) == 1
    """).assert_outcomes(passed=1)


def test_cards_are_the_same_in_every_test_and_apart(run):
    run("""
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_them(bsim_wallet, number):
            assert bsim_wallet.accounts() == []
            assert bsim_wallet.derive(60).address == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
            assert bsim_wallet.iccid() == "8985203021088899971"
    """).assert_outcomes(passed=3)


def test_the_trace_is_printed_where_a_test_fails_and_holds_no_secret(run):
    result = run(
        """
        import pytest

        @pytest.mark.bsim(handset="wrong,right", bpin="314159", state="bpin-unset")
        def test_it(bsim_card, bsim_wallet):
            bsim_wallet.set_bpin("271828")
            bsim_wallet.derive(60)
            bsim_wallet.verify_bpin()
            bsim_card.reset()
            assert False

        def test_that_passes(bsim_wallet):
            assert bsim_wallet.version()

        @pytest.fixture
        def broken(bsim_wallet):
            bsim_wallet.derive(503)
            raise RuntimeError

        def test_that_never_begins(broken):
            pass

        def test_with_a_server(bsim_server):
            bsim_server.wallet().derive(354)
            bsim_server.wallet().verify_bpin()
            assert False
        """
    )
    result.assert_outcomes(passed=1, failed=2, errors=1)
    said = result.stdout.str()
    assert said.count("bsim: what went between the test and its card") == 3
    result.stdout.fnmatch_lines(
        [
            "*coin_type 503*",
            "*SET_BPIN*",
            "*> 807A000006 [*][*][*][*][*][*]*",
            "*DERIVE_KEY*",
            "*coin_type 60*",
            "*VERIFY_BPIN*",
            "*phone?*PERFORMED*",
            "RESET*< 3B*",
            "*coin_type 354*",
            "*phone?*PERFORMED*",
        ]
    )
    for secret in ("323731383238", "333134313539"):
        assert secret not in said


WRONG = {
    "state='lost'": "no state 'lost'; there is factory",
    "colour='red'": "no option 'colour'; there is fault",
    "fault='on SIGN explode'": "here stands a condition",
    "'locked'": "its options have names",
    "handset='left'": "handset script",
    "bpin='1'": "six digits",
}


@pytest.mark.parametrize("fixture", ["bsim_card", "bsim_server"])
def test_a_marker_that_cannot_be_is_told_without_a_traceback(run, fixture):
    tests = [
        f"@pytest.mark.bsim({marker})\ndef test_{number}({fixture}):\n    pass\n" for number, marker in enumerate(WRONG)
    ]
    result = run("import pytest\n" + "\n".join(tests))
    result.assert_outcomes(errors=len(WRONG))
    result.stdout.fnmatch_lines([f"*marker bsim: *{reason}*" for reason in WRONG.values()])
    assert "bsim/lab" not in result.stdout.str()
    assert "another exception occurred" not in result.stdout.str()


def test_no_handset_is_told(run):
    result = run("""
        import pytest

        @pytest.mark.bsim(handset="none")
        def test_it(bsim_handset):
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*without a phone there is no handset*"])


def test_the_marker_is_declared(run):
    run(WALLET, "--markers").stdout.fnmatch_lines(["@pytest.mark.bsim(state=None,*docs/pytest.md"])


def test_installing_bsim_is_enough(pytester):
    pytester.makepyfile(WALLET)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers").assert_outcomes(passed=1)


def test_a_server_with_the_tests_own_card(run):
    run("""
        import json, urllib.request
        import pytest

        def ask(url, body=None):
            data = json.dumps(body).encode() if body is not None else None
            request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)

        @pytest.mark.bsim(state="one-try-left", handset="manual", fault="on GET_VERSION nth 2 answer 6985")
        def test_it(bsim_server):
            (card,) = ask(bsim_server.url + "/v1/cards")["cards"]
            assert card["id"] == bsim_server.card.number
            apdus = f"{bsim_server.url}/v1/cards/{card['id']}/apdu"
            assert bsim_server.wallet().version() == bytes.fromhex("0051")
            assert ask(apdus, {"apdu": "00CA000002"})["response"][-4:] == "6985"
            assert len(bsim_server.wallet().accounts()) == 1
            assert len(list(bsim_server.rack)) == 1
    """).assert_outcomes(passed=1)


def test_plugins_of_others_pay_nothing_for_it():
    """A pytest run that uses no fixture of bsim's imports nothing of it but the plugin."""
    code = "import sys, pytest, bsim.pytest_plugin; print(sorted(m for m in sys.modules if m.startswith('bsim')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['bsim', 'bsim.late', 'bsim.pytest_plugin']"


def test_the_page_says_what_is_so(run):
    page = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    tests = sum(block.count("def test_") for block in blocks)
    assert tests == 4
    run("\n".join(blocks)).assert_outcomes(passed=tests)


def test_what_a_test_wants_shows_no_secret():
    assert "123456" not in repr(Wanted(mnemonic="legal winner", bpin="123456"))
    assert "legal" not in repr(Wanted(mnemonic="legal winner", bpin="123456"))
    card = BenchCard(Wanted())
    card.transmit(bytes.fromhex("807A000006313233343536"))
    assert "3132" not in repr(card.tape)


def test_a_long_trace_is_cut_at_its_beginning():
    card = BenchCard(Wanted())
    for _ in range(200):
        card.transmit(bytes.fromhex("00CA000002"))
    lines = card.tape.lines()
    assert lines[0] == "(200 lines before are left out)"
    assert len(lines) == 401
