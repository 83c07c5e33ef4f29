"""The modem's AT commands, over no wire: every command against the card's own answers, and what terminals do wrong."""

import random
import re

import pytest
from helpers import BPIN, DIGEST, ETHEREUM, ICCID, WALLET_AID, apdu, bare_card, send, signature
from helpers import COMMANDS as DECLARED
from hypothesis import given
from hypothesis import strategies as st
from modem_terminal import FINAL, Terminal, modem, prepared

from bsim.applets.proactive import CommandType, Result
from bsim.links.modem_line import LONGEST, AtCommand, AtSyntaxError, Form, Lines, parse
from bsim.links.modem_phone import Phone
from bsim.links.modem_port import COMMANDS, Port
from bsim.links.modem_results import Cme
from bsim.ports import Card, CardRemoved
from bsim.spec import spec

USIM_AID = spec().applets["usim"].aids[0]
IMSI = "001012108889997"


@pytest.fixture
def terminal() -> Terminal:
    return modem()[1]


# Lines.


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("", []),
        ("E0V1Q0", ["E = 0", "V = 1", "Q = 0"]),
        ("E", ["E = 0"]),
        ("&F0 E1", ["&F = 0", "E = 1"]),
        ("S0=3", ["S0 = 3"]),
        ("S003?", ["S3 ?"]),
        ("D*99#;x", ["D = *99#;x"]),
        ("+CIMI", ["+CIMI"]),
        ("+cimi;+CREG?", ["+CIMI", "+CREG ?"]),
        ("E0+CSIM=?;+CMEE=1", ["E = 0", "+CSIM =?", "+CMEE = 1"]),
        ('+CPIN="12;34","a,b"', ["+CPIN = 12;34 a,b"]),
        ('+CRSM=192,28589,0,0,255,,"3F007FFF"', ["+CRSM = 192 28589 0 0 255  3F007FFF"]),
        ("+CFUN= 1 , 1 ", ["+CFUN = 1 1"]),
        ("+CRSM=", ["+CRSM = "]),
        ("*TEST-1.2/3:x=1", ["*TEST-1.2/3:X = 1"]),
    ],
)
def test_a_line_is_read(line: str, commands: list[str]) -> None:
    found = [f"{one.name} {one.form.value} {' '.join(one.arguments)}".rstrip(" ") for one in parse(line)]
    found = [
        text if one.form is not Form.SET else f"{one.name} = {' '.join(one.arguments)}"
        for text, one in zip(found, parse(line), strict=True)
    ]
    assert found == commands


@pytest.mark.parametrize(
    "line",
    ["+", "=1", "+1A", '+CPIN="1', '+CPIN="1"2', "+CIMI)", "+CREG?1", "E0+CIMI x", "&", "1", "\xe4", '"', "+CIMI?="],
)
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(AtSyntaxError):
        list(parse(line))


def test_a_command_never_shows_its_arguments() -> None:
    assert "1234" not in repr(AtCommand("+CPIN", Form.SET, ("1234",)))


@given(st.lists(st.binary(max_size=40).map(lambda noise: noise.replace(b"\r", b"")), max_size=6), st.integers(1, 9))
def test_lines_come_out_alike_in_whatever_pieces_they_came(noise: list[bytes], size: int) -> None:
    data = b"".join(part + b"\r" for part in noise) + b"AT+CIMI\r"
    whole, pieces = Lines(), Lines()
    at_once = list(whole.feed(data))
    one_by_one = [line for at in range(0, len(data), size) for line in pieces.feed(data[at : at + size])]
    assert one_by_one == at_once
    assert at_once[-1:] == ["+CIMI"]


def test_a_line_is_corrected_repeated_and_too_long() -> None:
    lines = Lines()
    assert list(lines.feed(b"\nAX\bT+CIMXX\x7f\bI\r")) == ["+CIMI"]
    assert list(lines.feed(b"A/a/")) == ["+CIMI", "+CIMI"]
    assert list(lines.feed(b"no modem's\r")) == []
    assert list(lines.feed(b"x" * (LONGEST + 1))) == []
    with pytest.raises(AtSyntaxError):
        list(lines.feed(b"AT+CIMI\r"))
    assert list(lines.feed(b"AT\r")) == [""]


# Formats of answers.


def test_echo_and_result_codes() -> None:
    port = Port(Phone.around(bare_card()))
    assert port.feed(b"AT\r") == b"AT\r\r\nOK\r\n"
    assert port.feed(b"ate0\r") == b"ate0\r\r\nOK\r\n"
    assert port.feed(b"AT+CIMI\r") == f"\r\n{IMSI}\r\n\r\nOK\r\n".encode()
    assert port.feed(b"ATV0\r") == b"0\r"
    assert port.feed(b"AT+CIMI;+NO\r") == f"{IMSI}\r\n4\r".encode()
    assert port.feed(b"ATQ1\r") == port.feed(b"AT+NO\r") == b""
    assert port.feed(b"ATZ\r") == port.feed(b"AT\r") == b"\r\nOK\r\n"
    assert port.feed(b"AT&F\r") == b"\r\nOK\r\n"
    assert port.feed(b"AT\r") == b"AT\r\r\nOK\r\n"


def test_errors_are_told_as_asked_for(terminal: Terminal) -> None:
    assert terminal.refused('AT+CGLA=1,2,"00"') == "ERROR"
    terminal.ok("AT+CMEE=1")
    assert terminal.refused('AT+CGLA=1,2,"00"') == "+CME ERROR: 50"
    assert terminal.one("AT+CMEE?") == "+CMEE: 1"
    terminal.ok("AT+CMEE=2")
    assert terminal.refused('AT+CGLA=1,2,"00"') == "+CME ERROR: incorrect parameters"
    assert terminal.refused('AT+CSIM=3,"000"') == "+CME ERROR: incorrect parameters"
    assert terminal.refused("AT+NONE") == "+CME ERROR: operation not supported"
    assert terminal.refused("AT+CPIN=1234") == "+CME ERROR: operation not allowed"
    assert Cme.SIM_PIN_REQUIRED.words == "SIM PIN required"


def test_a_line_ends_at_the_first_refusal(terminal: Terminal) -> None:
    assert terminal.lines("AT+CIMI;+NONE;+CCID") == [IMSI, "ERROR"]


def test_settings_are_read_back_and_restored(terminal: Terminal) -> None:
    terminal.ok('AT+CRC=1;+CSCS="UCS2";+CREG=2;+CSSN=1;S0=7;+CMER=1,0,0')
    told = ["+CRC: 1", '+CSCS: "UCS2"', '+CREG: 2,1,"0001","00000001",0', "+CSSN: 1,0", "007", "+CMER: 1,0,0,0"]
    assert terminal.ok("AT+CRC?;+CSCS?;+CREG?;+CSSN?;S0?;+CMER?") == told
    for wrong in ("AT+CRC=2", "AT+CRC=x", "ATS3=10", 'AT+CSCS="EBCDIC"', "ATX9"):
        assert terminal.refused(wrong) == "ERROR"
    terminal.ok("ATZ")
    assert terminal.ok("AT+CRC?;+CSCS?;S0?") == ["+CRC: 0", '+CSCS: "GSM"', "000"]


def test_every_command_has_a_test_form_or_answers_without_one(terminal: Terminal) -> None:
    names = terminal.ok("AT+CLAC")
    assert {*names, "+CUSATEND"} == set(COMMANDS.names)
    assert {"+CSIM", "+CRSM", "+CCHO", "+CGLA", "+CCHC", "+CPIN", "+CIMI", "+CCID", "+CUAD", "+CUSATT", "E"} <= set(
        names
    )
    for name in sorted(set(names) - {"E", "V", "Q"}):  # which change how answers look
        for form in ("", "?", "=?", "=", "=0", '="x",,,,,,,,'):
            assert terminal.lines(f"AT{name}{form}")[-1].startswith(FINAL), name + form
    terminal.ok("ATE0")  # one of them was AT&F
    assert terminal.one("AT+CIMI") == IMSI


def test_the_network_is_the_cards_own(terminal: Terminal) -> None:
    assert terminal.one("AT+COPS?") == '+COPS: 0,0,"001-01",0'
    assert terminal.one("AT+COPS=3,2;+COPS?") == '+COPS: 0,2,"00101",0'
    assert terminal.ok('AT+COPS=1,2,"00101"') == []
    assert terminal.refused('AT+COPS=1,2,"46000"') == "ERROR"
    assert terminal.one("AT+COPS=2;+CREG?") == "+CREG: 0,0"
    assert terminal.one("AT+COPS=0;+CREG?") == "+CREG: 0,1"
    assert terminal.one("AT+COPS=?") == '+COPS: (2,"001-01","001-01","00101",0),,(0-3),(0-2)'
    assert terminal.one("AT+CFUN=4;+CREG?") == "+CREG: 0,0"


# +CSIM: TPDUs, byte for byte the card's own.


def test_csim_is_the_cards_own_t0() -> None:
    port = Port(Phone.around(bare_card()))
    assert port.feed(b"ATZ\r")[-6:] == b"\r\nOK\r\n"
    port.feed(b"ATE0\r")
    assert port.feed(b"AT+CSIM=?\r") == b"\r\nOK\r\n"
    answer = port.feed(b'AT+CSIM=14,"00a40004022fe2"\r')
    assert answer == b'\r\n+CSIM: 4,"6119"\r\n\r\nOK\r\n'
    fcp = port.feed(b'AT+CSIM=10,"00C0000019"\r')
    assert re.fullmatch(rb'\r\n\+CSIM: 54,"62[0-9A-F]{48}9000"\r\n\r\nOK\r\n', fcp)
    assert port.feed(b'AT+CSIM=10,"00B0000000"\r') == b'\r\n+CSIM: 4,"6C0A"\r\n\r\nOK\r\n'
    assert port.feed(b'AT+CSIM=10,"00B000000A"\r') == b'\r\n+CSIM: 24,"985802031280889979F19000"\r\n\r\nOK\r\n'
    assert port.feed(b'AT+CSIM=10,"B03C010000"\r') == b'\r\n+CSIM: 4,"6E00"\r\n\r\nOK\r\n'


def test_what_a_client_of_csim_has_selected_stays_selected(terminal: Terminal) -> None:
    terminal.ok('AT+CSIM=14,"00A40004022FE2"')
    assert terminal.one("AT+CIMI") == IMSI
    terminal.ok("AT+CUAD")
    assert terminal.one('AT+CSIM=10,"00B000000A"') == '+CSIM: 24,"985802031280889979F19000"'


# +CRSM and +CRLA.


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("176,12258,0,0,10", '144,0,"985802031280889979F1"'),
        ("176,28486,0,0,17", '144,0,"014253494DFFFFFFFFFFFFFFFFFFFFFFFF"'),
        ("176,12258,0,4,2", '144,0,"1280"'),
        ("176,28423,0,0,0", '144,0,"080910101280889979"'),
        ('176,28423,0,0,9,"","3F007FFF"', '144,0,"080910101280889979"'),
        ('176,28423,0,0,9,,"7F20"', '144,0,"080910101280889979"'),
        ("178,12032,1,4,0", None),
        ("192,12258", '144,0,"62178202412183022FE28A01058B032F06028002000A880110"'),
        ("192,16128", None),
        ("242", None),
        ("242,0,0,1,0", None),
        ("176,28423,0,0,200", None),
        ("192,28671", "106,130"),
        ('192,28423,0,0,0,,"7F99"', "106,130"),
        ("178,28423,1,4,9", "105,129"),
    ],
)
def test_crsm_reads(terminal: Terminal, command: str, answer: str | None) -> None:
    line = terminal.one(f"AT+CRSM={command}")
    assert line.startswith("+CRSM: 144,0,") if answer is None else line == f"+CRSM: {answer}"


def test_crsm_writes_what_it_may(terminal: Terminal) -> None:
    assert terminal.one('AT+CRSM=214,28472,0,0,1,"00"') == "+CRSM: 105,130"
    record = "41" + "FF" * 23 + "03811032F4" + "FF" * 9
    fcp = terminal.one("AT+CRSM=192,28474")
    length = int(re.search("82054221([0-9A-F]{4})", fcp)[1], 16)  # type: ignore[index]
    text = record[: 2 * length].ljust(2 * length, "F")
    assert terminal.one(f'AT+CRSM=220,28474,1,4,{length},"{text}"') == "+CRSM: 144,0"
    assert terminal.one(f"AT+CRSM=178,28474,1,4,{length}") == f'+CRSM: 144,0,"{text}"'
    assert terminal.one('AT+CRSM=214,28542,0,0,2,"0102"') in {"+CRSM: 144,0", "+CRSM: 106,130"}


def test_crsm_refuses_what_is_none(terminal: Terminal) -> None:
    for wrong in (
        "",
        "x",
        "176",
        "32,12258,0,0,0",
        "256,12258",
        "176,70000",
        '214,12258,0,0,3,"00"',
        "176,12258,0,0,256",
    ):
        if wrong == "176":
            assert terminal.one("AT+CRSM=176").startswith("+CRSM: 105,134")
        else:
            assert terminal.refused(f"AT+CRSM={wrong}") == "ERROR", wrong


def test_crla_reads_on_its_own_channel(terminal: Terminal) -> None:
    channel = terminal.open(
        spec().applets["isim"].aids[0] if "isim" in spec().applets else bytes.fromhex("A0000000871004")
    )
    assert terminal.one(f"AT+CRLA={channel},192,28418").startswith('+CRLA: 144,0,"62')
    assert terminal.refused("AT+CRLA=9,192,28418") == "ERROR"
    assert terminal.one("AT+CIMI") == IMSI


def test_a_file_channel_that_a_client_closes_is_opened_again(terminal: Terminal) -> None:
    assert terminal.one("AT+CIMI") == IMSI
    assert terminal.one('AT+CSIM=10,"0070800100"') == '+CSIM: 4,"9000"'
    assert terminal.one("AT+CIMI") == IMSI


def test_who_the_card_is(terminal: Terminal) -> None:
    assert terminal.one("AT+CCID") == f"+CCID: {ICCID}"
    assert terminal.one("AT+ICCID?") == f"+ICCID: {ICCID}"
    applications = terminal.one("AT+CUAD").removeprefix('+CUAD: "').rstrip('"')
    assert applications.startswith("61194F10" + USIM_AID.hex().upper())
    assert not applications.endswith("FF")


def test_a_number_that_is_none_is_the_cards_fault(terminal: Terminal) -> None:
    terminal.ok("AT+CMEE=1")
    assert terminal.one('AT+CSIM=26,"0020000A083838383838383838"') == '+CSIM: 4,"9000"'
    assert terminal.one('AT+CRSM=214,28423,0,0,2,"00FF"') == "+CRSM: 144,0"
    assert terminal.refused("AT+CIMI") == "+CME ERROR: 13"
    assert terminal.one("AT+CPIN?") == "+CPIN: READY"
    assert terminal.one("AT+CREG?") == "+CREG: 0,0"


# PINs.


def test_pin1_is_asked_for_counted_and_unblocked(terminal: Terminal) -> None:
    assert terminal.one("AT+CPIN?") == "+CPIN: READY"
    assert terminal.one('AT+CLCK="SC",2') == "+CLCK: 0"
    terminal.ok('AT+CMEE=1;+CLCK="SC",1,"1234"')
    assert terminal.one('AT+CLCK="SC",2') == "+CLCK: 1"
    terminal.ok("AT+CFUN=1,1")
    assert terminal.one("AT+CPIN?") == "+CPIN: SIM PIN"
    assert terminal.refused("AT+CIMI") == "+CME ERROR: 11"
    assert terminal.refused('AT+CPIN="1111"') == terminal.refused('AT+CPIN="2222"') == "+CME ERROR: 16"
    assert terminal.ok("AT+CPINR")[0] == "+CPINR: SIM PIN,1,3"
    assert terminal.refused('AT+CPIN="3333"') == "+CME ERROR: 12"
    assert terminal.one("AT+CPIN?") == "+CPIN: SIM PUK"
    assert terminal.refused('AT+CPIN="1234"') == "+CME ERROR: 12"
    assert terminal.refused('AT+CPIN="11111111","1234"') == "+CME ERROR: 16"
    terminal.ok('AT+CPIN="12345678","4321"')
    assert terminal.one("AT+CPIN?") == "+CPIN: READY"
    terminal.ok('AT+CPWD="SC","4321","9876"')
    terminal.ok('AT+CPWD="P2","5678","8765"')
    assert terminal.refused('AT+CPWD="SC","4321","9876"') == "+CME ERROR: 16"
    terminal.ok('AT+CLCK="SC",0,"9876"')
    assert terminal.one('AT+CLCK="P2",2') == "+CLCK: 1"
    assert terminal.refused('AT+CLCK="P2",0,"8765"') == "+CME ERROR: 3"
    assert terminal.refused('AT+CLCK="PN",2') == "+CME ERROR: 4"
    for wrong in ('AT+CPIN="12"', 'AT+CPIN="12345678","1"', "AT+CPIN=1,2,3", 'AT+CLCK="SC",3', 'AT+CPWD="SC","1"'):
        assert terminal.refused(wrong) == ("+CME ERROR: 3" if wrong == 'AT+CPIN="12"' else "+CME ERROR: 50"), wrong


def test_what_modemmanager_asks_of_the_counters(terminal: Terminal) -> None:
    for command, sw in (("0020000100", "63C3"), ("002C000100", "63CA"), ("0020008100", "63C3"), ("002C008100", "63CA")):
        assert terminal.one(f'AT+CSIM=10,"{command}"') == f'+CSIM: 4,"{sw}"'


# Channels.


def test_the_wallet_signs_over_cgla(terminal: Terminal) -> None:
    channel = terminal.open()
    assert terminal.apdu(channel, bytes.fromhex("00CA000002")) == bytes.fromhex("00519000")
    assert terminal.apdu(channel, apdu("VERIFY_BPIN")) == b"\x90\0"  # the user of the phone types it
    signed = terminal.apdu(channel, apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST))
    assert signed == signature(ETHEREUM, 1) + b"\x90\0"
    assert len(terminal.apdu(channel, apdu("EXPORT_PUBKEYS", part="FIRST"))) == 75
    assert terminal.ok(f"AT+CCHC={channel}") == ["+CCHC"]
    assert terminal.refused(f"AT+CCHC={channel}") == "ERROR"
    assert terminal.refused(f'AT+CGLA={channel},10,"00CA000002"') == "ERROR"


def test_the_class_byte_gets_the_channel_whatever_it_had(terminal: Terminal) -> None:
    first, second = terminal.open(), terminal.open(USIM_AID)
    for cla in ("00", "01", "02", "03", "40"):
        assert terminal.apdu(first, bytes.fromhex(f"{cla}CA000002")) == bytes.fromhex("00519000")
    assert terminal.apdu(second, bytes.fromhex("00CA000002"))[-2:] == b"\x6d\0"
    assert terminal.apdu(first, bytes.fromhex("FF00000000"))[-2:] == b"\x6e\0"
    assert terminal.apdu(first, b"\0") == b"\x67\0"


def test_channels_run_out_and_come_back() -> None:
    phone, terminal = modem()
    terminal.ok("AT+CMEE=1")
    assert terminal.refused('AT+CCHO="F000000001"') == "+CME ERROR: 22"
    opened = [terminal.open() for _ in range(19)]
    assert len(set(opened)) == 19
    assert terminal.refused(f'AT+CCHO="{WALLET_AID.hex()}"') == "+CME ERROR: 20"
    assert terminal.apdu(opened[-1], bytes.fromhex("80CA000002"))[-2:] != b"\x68\x81"
    terminal.ok("ATZ")
    assert phone.card.channels == {}
    other = Port(phone)
    theirs = Terminal(other.feed).open()
    terminal.ok("ATE0")
    assert terminal.refused(f"AT+CCHC={theirs}") == "ERROR"
    other.hang_up()
    assert phone.card.channels == {}


# The toolkit.


def test_the_menu_is_told_of_when_it_is_asked_for() -> None:
    _, terminal = modem(None)
    assert terminal.told == []
    terminal.ok("AT+CUSATA=1")
    menu = terminal.dialogue()
    assert menu.type == CommandType.SET_UP_MENU
    assert [text for _, text in menu.items] == ["Change BPIN", "Accounts", "Assets"]
    terminal.respond(menu)
    assert terminal.told == []
    assert terminal.one("AT+CUSATR=0") == '+CUSATR: 0,"0900072100"'
    assert terminal.dialogue() == menu


def test_a_phone_stack_hears_of_the_menu_until_it_answers(terminal: Terminal) -> None:
    terminal.refused("AT+CPBS=?")
    terminal.ok("AT")
    assert len(terminal.told) == 2
    terminal.respond(terminal.dialogue())
    terminal.told.clear()
    terminal.ok("AT")
    assert terminal.told == []


def test_accounts_are_shown_over_at(terminal: Terminal) -> None:
    terminal.ok("AT+CUSATE=D30782020181900102")
    choice = terminal.dialogue()
    assert choice.type == CommandType.SELECT_ITEM
    terminal.respond(choice, item=1)
    shown = terminal.dialogue()
    assert shown.type == CommandType.DISPLAY_TEXT
    assert "0x" in shown.text
    terminal.respond(shown)
    terminal.respond(terminal.dialogue(), result=Result.TERMINATED_BY_USER)
    assert terminal.told == ["+CUSATEND"]
    assert terminal.refused("AT+CUSATE=D30782020181900109") == "ERROR"
    assert terminal.refused("AT+CUSATE=xx") == "ERROR"


def test_the_bpin_is_typed_by_the_client_that_takes_dialogues(terminal: Terminal) -> None:
    channel = terminal.open()
    terminal.ok("AT+CUSATA=0")
    assert terminal.apdu(channel, apdu("VERIFY_BPIN")) == b"\x90\0"
    entry = terminal.dialogue()
    assert (entry.type, entry.hidden) == (CommandType.GET_INPUT, True)
    assert terminal.apdu(channel, apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST)) == b"\x69\x82"
    terminal.respond(entry, BPIN)
    while terminal.told[-1] != "+CUSATEND":
        terminal.respond(terminal.dialogue())
    signed = terminal.apdu(channel, apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST))
    assert signed == signature(ETHEREUM, 1) + b"\x90\0"


def test_answers_to_nothing_are_refused(terminal: Terminal) -> None:
    terminal.ok("AT+CMEE=1;+CUSATA=0")
    assert terminal.refused("AT+CUSATT=810301230482028281830100") == "+CME ERROR: 3"
    assert terminal.refused("AT+CUSATT=8103") == "+CME ERROR: 50"
    assert terminal.refused("AT+CUSATT=") == "+CME ERROR: 50"
    assert terminal.refused("AT+CUSATEND") == "+CME ERROR: 3"
    terminal.apdu(terminal.open(), apdu("VERIFY_BPIN"))
    terminal.ok("AT+CUSATEND")
    assert terminal.refused("AT+CUSATEND") == "+CME ERROR: 3"


def test_a_client_that_hangs_up_leaves_the_card_free() -> None:
    phone, terminal = modem("right")
    port = Port(phone)
    leaving = Terminal(port.feed)
    leaving.ok("AT+CUSATA=0")
    channel = terminal.open()
    assert terminal.apdu(channel, apdu("VERIFY_BPIN")) == b"\x90\0"
    assert leaving.lines("AT")[-1] == "OK"
    assert leaving.dialogue().type == CommandType.GET_INPUT
    port.hang_up()
    assert terminal.apdu(channel, apdu("VERIFY_BPIN")) == b"\x90\0"  # now the phone's own user is asked
    assert terminal.apdu(channel, apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST))[-2:] == b"\x90\0"


def test_without_a_user_every_client_is_told() -> None:
    phone, terminal = modem(None)
    other = Port(phone)
    terminal.apdu(terminal.open(), apdu("VERIFY_BPIN"))
    assert terminal.dialogue().type == CommandType.GET_INPUT
    assert other.pending().startswith(b"\r\n+CUSATP: D0")
    terminal.ok("AT+CFUN=1,1")
    assert terminal.told == ["+CUSATEND"]


# Cards that go.


class Loose(Card):
    """A card that can be taken out."""

    def __init__(self) -> None:
        self.card = prepared()
        self.out = False

    def reset(self) -> bytes:
        return self._there(self.card.reset())

    def transmit(self, command: bytes) -> bytes:
        return self._there(self.card.transmit(command))

    def _there(self, answer: bytes) -> bytes:
        if self.out:
            raise CardRemoved("taken out")
        return answer


def test_a_card_that_is_taken_out_and_put_in_again() -> None:
    card = Loose()
    port = Port(Phone.around(card))
    terminal = Terminal(port.feed)
    terminal.ok("AT+CMEE=1")
    terminal.open()
    card.out = True
    for command in (
        "AT+CIMI",
        "AT+CPIN?",
        "AT+CUSATE=D30782020181900102",
        'AT+CSIM=8,"00CA0000"',
    ):
        assert terminal.refused(command) == "+CME ERROR: 10", command
    card.out = False
    assert terminal.one("AT+CIMI") == IMSI
    terminal.open()
    card.out = True
    port.hang_up()
    card.out = False
    assert send(card, "GET_RESPONSE", le=1)[1] == 0x6985


# Noise.

_PARTS = [
    *(
        "AT",
        "at",
        "A/",
        "+",
        "+C",
        "SIM",
        "RSM",
        "CHO",
        "GLA",
        "=",
        "?",
        "=?",
        ",",
        ";",
        '"',
        "00",
        "A4",
        "176",
        "12258",
    ),
    *(
        "0",
        "1",
        "2",
        "255",
        "99999999",
        "FF",
        "3F00",
        "\r",
        "\n",
        "\b",
        " ",
        "E0",
        "V0",
        "Q1",
        "Z",
        "&F",
        "D*99#",
        "S3=13",
    ),
]
_INSTRUCTIONS = sorted({command.ins for command in DECLARED.values()})
_FORMS = ["", "?", "=?", "="]


def noise(rng: random.Random) -> bytes:
    """A line that is nearly right, or not at all."""
    match rng.randrange(5):
        case 0:
            line = rng.randbytes(rng.randrange(60))
        case 1:
            line = "".join(rng.choices(_PARTS, k=rng.randrange(1, 14))).encode()
        case 2:
            arguments = ",".join(rng.choices(_PARTS, k=rng.randrange(5)))
            line = f"AT{rng.choice(COMMANDS.names)}{rng.choice(_FORMS)}{arguments}".encode()
        case 3:
            line = _legal(rng).encode()
        case _:
            line = _legal(rng).encode()
            at = rng.randrange(len(line))
            line = line[:at] + rng.randbytes(rng.randrange(3)) + line[at + rng.randrange(2) :]
    return line + b"\r" * rng.choice((0, 1, 1, 1, 1, 1, 2))


def _legal(rng: random.Random) -> str:
    """A line that is well formed, whatever the card will think of it."""
    raw = bytes((rng.choice((0x00, 0x80, 0x01, 0xA0, rng.randrange(256))), rng.choice(_INSTRUCTIONS)))
    raw += rng.randbytes(rng.randrange(2, 12))
    pdu = f'{2 * len(raw)},"{raw.hex()}"'
    aid = rng.choice((USIM_AID, WALLET_AID, rng.randbytes(7))).hex()
    tlv = rng.choice(
        ("D3078202018190010", "810301230482028281830100", "8103012100820282818301", "81030122048202828183011")
    )
    return rng.choice(
        (
            f"AT+CSIM={pdu}",
            f"AT+CGLA={rng.randrange(1, 3)},{pdu}",
            *[f'AT+CCHO="{aid}"'] * 3,
            f"AT+CCHC={rng.randrange(5)}",
            f"AT+CRSM={rng.choice((176, 178, 192, 242))},{rng.choice((12258, 28423, 28474))},{rng.randrange(3)},4,0",
            f"AT+CUSATE=D3078202018190010{rng.randrange(1, 4)}",
            f"AT+CUSATT={tlv}{rng.randrange(10)}",
            "AT+CUSATA=1",
            "AT+CUSATEND",
            "AT+CPBS=?",
            "AT+CFUN=1,1",
            "AT+CIMI;+CCID;+CUAD;+CPIN?;+CPINR",
        )
    )


def test_ten_thousand_lines_of_noise_break_nothing() -> None:
    rng = random.Random(9)
    phone = Phone.around(prepared())
    port = Port(phone)
    done = 0
    for at in range(10_000):
        done += port.feed(noise(rng)).count(b"\r\nOK\r\n")
        if at % 50 == 17:
            port.hang_up()
            port = Port(phone)
        if at % 25 == 3:
            port.tell("+CUSATP: D0")
            port.feed(b'"\rATQ0V1\r')
        if at % 100 == 99:
            port.feed(b'"\r')
            port.feed(b"ATZ\r")
            assert b"\r\nBSIM\r\n\r\nOK\r\n" in port.feed(b"AT+CGMI\r"), f"line {at}"
    assert done > 1_000, done
