"""The lab over the real PC/SC stack: slot 0 plays the real card, quirky and in a process of its own; slot 1 is ours.

Also every trouble a reader can have that pcscd and vpcd can be brought to have, and the words for it.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from quirks import QUIRKS

from bsim.card import T0
from bsim.cli import main
from bsim.lab import conform, diff
from bsim.lab.conform import Status
from bsim.lab.guard import EVERYTHING, Permit
from bsim.lab.hotplug import What, watch
from bsim.lab.reader import MuteCardError, NoCardError, Protocol, ReaderCard, ReaderError, ReaderOptions, readers
from bsim.lab.subject import subject
from bsim.links.vpcd import VpcdLink
from bsim.profiles import personalisation, ram_card

pytestmark = pytest.mark.pcsc

TESTS = Path(__file__).parents[1]
SELECT = bytes.fromhex("00A4040C10A000000533C000FF860000000000054D")
VERSION = bytes.fromhex("00CA000000")


@pytest.fixture
def real_card(pcscd, slot_of):
    """A function that puts a card with quirks into slot 0, in another process."""
    running = []

    def put(*quirks):
        command = [sys.executable, str(TESTS / "quirks.py"), str(pcscd.ports[0]), *quirks]
        running.append(subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(TESTS)}))
        slot_of(0).wait(present=True)
        return f"reader:{pcscd.readers[0]}"

    def take():
        process = running.pop()
        process.terminate()
        process.wait()
        slot_of(0).wait(present=False)

    put.take = take
    yield put
    while running:
        take()


@pytest.fixture
def slot_of(pcscd):
    from bsim.links.slot import Slot

    slots = {}

    def find(number):
        if number not in slots:
            slots[number] = Slot(pcscd.readers[number])
        return slots[number]

    yield find
    for slot in slots.values():
        slot.close()


@pytest.fixture
def put(pcscd, slot_of) -> Iterator:
    """A function that puts a card into a slot from here, without a PC/SC client of its own."""
    links = []

    def insert(card=None, slot=1):
        link = VpcdLink(T0(card or ram_card(personalisation())), port=pcscd.ports[slot])
        link.start()
        slot_of(slot).wait(present=True)
        links.append((link, slot))
        return link

    def take():
        link, slot = links.pop()
        link.stop()
        link.join()
        slot_of(slot).wait(present=False)

    insert.take = take
    yield insert
    while links:
        take()


@pytest.fixture
def ours(pcscd, put):
    put(slot=1)
    return f"reader:{pcscd.readers[1]}"


def compared(*targets, permit=EVERYTHING):
    twins = []
    try:
        twins.extend(subject(target, permit) for target in targets)
        pairs = list(diff.meet(diff.script(twins), twins, "123456"))
    finally:
        for twin in twins:
            twin.close()
    return diff.differences(pairs)


def test_equal_cards_are_equal(real_card, ours):
    assert compared(real_card(), ours) == []


def test_a_reader_and_a_card_in_process_are_equal(real_card):
    assert compared(real_card(), "ram", permit=Permit()) == []


# What a reader may hide: Le, lengths and the order of answers. All are found without one in test_diff.py.
BY_READER = frozenset({"6C for data", "extra byte", "segment size", "wrong status word"})


@pytest.mark.parametrize(
    "quirk", [pytest.param(quirk, marks=() if quirk in BY_READER else pytest.mark.soak) for quirk in QUIRKS]
)
def test_each_quirk_is_found(real_card, ours, quirk):
    found = compared(real_card(quirk), ours)
    about = QUIRKS[quirk][0].lower()
    assert [one for one in found if about in one.command.lower() or about in one.title.lower()], found


def test_conform(real_card):
    card = subject(real_card(), Permit())
    try:
        results = list(conform.examine(conform.cases(card, card.look()), card, "123456"))
    finally:
        card.close()
    assert {result.status for result in results} == {Status.PASS, Status.SKIPPED}


def test_the_verbs(real_card, ours, tmp_path, capsys):
    target = real_card("other version", "6B00 for P1 and P2")
    assert main(["conform", "--on", target, "--junit", str(tmp_path / "r.xml")]) == 1
    assert "STATUS: another P1" in capsys.readouterr().out
    assert main(["diff", "--on", target, "--on", ours, "--learn", str(tmp_path / "p.toml"), "--json"]) == 1
    found = {one["command"] for one in json.loads(capsys.readouterr().out)["differences"]}
    assert found == {"STATUS", "GSM_STATUS", "GET_VERSION"}
    assert main(["apdu", "--on", ours, "--raw", "00A4040010A000000533C000FF860000000000054D", "00CA000000"]) == 1
    assert capsys.readouterr().out.splitlines()[1::2] == ["< 6114", "< 6C02"]
    assert main(["readers", "--watch", "--for", "0.5", "--json"]) == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["attached", "attached", "inserted", "inserted"]


def test_a_card_that_is_taken_out_is_told_of_once_and_works_again(pcscd, real_card):
    real_card()
    card = ReaderCard(pcscd.readers[0])
    atr = card.reset()
    card.transmit(SELECT)
    real_card.take()
    with pytest.raises(NoCardError, match="taken out"):
        card.transmit(VERSION)
    with pytest.raises(NoCardError, match="put one in"):
        card.transmit(VERSION)
    with pytest.raises(NoCardError, match="put one in"):
        card.reset()
    real_card()
    assert card.transmit(SELECT) == b"\x90\x00"
    assert card.reset() == atr
    real_card.take()
    real_card()
    with pytest.raises(NoCardError, match="taken out"):
        card.transmit(SELECT)
    assert card.transmit(SELECT) == b"\x90\x00"
    card.close()


def test_a_card_pulled_at_every_command_of_a_session(pcscd, real_card):
    session = [SELECT, VERSION, bytes.fromhex("80C8000000"), bytes.fromhex("0084000010")]
    real_card()
    card = ReaderCard(pcscd.readers[0])
    for pulled in range(len(session)):
        card.reset()
        for number, command in enumerate(session):
            if number == pulled:
                real_card.take()
                with pytest.raises(NoCardError):
                    card.transmit(command)
                real_card()
                card.reset()
                break
            card.transmit(command)
    assert [card.transmit(command)[-2:] for command in session] == [b"\x90\x00"] * 4
    card.close()


class Mute:
    """A card that says nothing while it is told so; `until` lets it go on."""

    def __init__(self):
        self.card = T0(ram_card(personalisation()))
        self.until = threading.Event()
        self.mute = False

    def reset(self):
        return self.card.reset()

    def transmit(self, command):
        if self.mute:
            self.until.wait()
        return self.card.transmit(command)


def test_a_mute_card_ends_in_an_error_and_comes_back(pcscd, slot_of):
    mute = Mute()
    with VpcdLink(mute, port=pcscd.ports[0]), ExitStack() as stack:
        stack.callback(mute.until.set)  # else the link would wait for the card
        slot_of(0).wait(present=True)
        card = ReaderCard(pcscd.readers[0], ReaderOptions(timeout=0.3))
        card.transmit(SELECT)
        mute.mute = True
        for _ in range(2):
            with pytest.raises(MuteCardError, match=r"mute: no answer in 0.3 s"):
                card.transmit(VERSION)
        mute.mute = False
        mute.until.set()
        patient = ReaderCard(pcscd.readers[0], ReaderOptions(timeout=None))
        patient.reset()
        assert card.transmit(SELECT) == b"\x90\x00"
        patient.close()
        card.close()
    slot_of(0).wait(present=False)


def test_one_reader_for_one_program(pcscd, real_card):
    real_card()
    card = ReaderCard(pcscd.readers[0], ReaderOptions(exclusive=True))
    with pytest.raises(ReaderError, match="in use by another program"):
        ReaderCard(pcscd.readers[0])
    card.close()
    shared, other = ReaderCard(pcscd.readers[0]), ReaderCard(pcscd.readers[0])
    with pytest.raises(ReaderError, match="in use by another program"):
        ReaderCard(pcscd.readers[0], ReaderOptions(exclusive=True))
    shared.reset()
    with pytest.raises(ReaderError, match="reset by another program"):
        other.transmit(SELECT)
    assert other.transmit(SELECT) == b"\x90\x00"
    shared.close()
    other.close()


def test_a_transaction_keeps_others_out(pcscd, real_card):
    real_card()
    card, other = ReaderCard(pcscd.readers[0]), ReaderCard(pcscd.readers[0], ReaderOptions(timeout=None))
    order = []

    def meanwhile():
        other.transmit(SELECT)
        order.append("other")

    with card.transaction():
        thread = threading.Thread(target=meanwhile)
        thread.start()
        for _ in range(50):
            card.transmit(SELECT)
        order.append("own")
    thread.join()
    assert order == ["own", "other"]
    card.close()
    other.close()


def test_raw_and_whole(pcscd, real_card):
    real_card()
    whole, raw = ReaderCard(pcscd.readers[0]), ReaderCard(pcscd.readers[0], ReaderOptions(raw=True))
    select = SELECT[:3] + b"\0" + SELECT[4:]
    assert whole.transmit(select)[-2:] == b"\x90\x00"
    assert raw.transmit(select) == b"\x61\x14"
    assert raw.transmit(VERSION) == b"\x6c\x02"
    assert whole.transmit(VERSION) == b"\x00\x51\x90\x00"
    whole.close()
    raw.close()


def test_a_protocol_that_is_not_the_cards(pcscd, real_card):
    real_card()
    with pytest.raises(ReaderError, match="does not speak the protocol"):
        ReaderCard(pcscd.readers[0], ReaderOptions(protocol=Protocol.T1))
    ReaderCard(pcscd.readers[0], ReaderOptions(protocol=Protocol.T0)).close()


def test_no_card(pcscd):
    assert readers() == list(pcscd.readers)
    with pytest.raises(NoCardError, match="no card is in the reader"):
        ReaderCard(0)


def test_hot_plug(pcscd, put):
    events = watch(timeout=30)
    assert [next(events).what for _ in range(2)] == [What.ATTACHED] * 2
    put(slot=1)
    inserted = next(events)
    assert (inserted.what, inserted.reader) == (What.INSERTED, pcscd.readers[1])
    assert inserted.atr[0] == 0x3B
    put.take()
    assert next(events).what is What.REMOVED
    events.close()


def in_a_process(environment, *words, **options):
    done = subprocess.run(
        [sys.executable, "-m", "bsim", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    return done.returncode, done.stderr


def test_no_service(tmp_path):
    code, said = in_a_process({"PCSCLITE_CSOCK_NAME": str(tmp_path / "nothing")}, "apdu", "--on", "reader:0", "00A4")
    assert code == 2
    assert "no service is running; start it" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who is not let in")
def test_no_permission():
    """As a user who may not speak to the service: what libpcsclite calls no service too."""
    script = (
        "import os, socket, tempfile; from bsim.lab import pcsc\n"
        "d = tempfile.mkdtemp(); os.chmod(d, 0o755); p = d + '/pcscd.comm'; s = socket.socket(socket.AF_UNIX)\n"
        "s.bind(p); os.chmod(p, 0o600); s.listen(); os.environ['PCSCLITE_CSOCK_NAME'] = p; pcsc.scard()\n"
        "os.setuid(65534)\n"
        "try: pcsc.establish()\n"
        "except pcsc.ReaderError as fault: print(fault)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "does not let you in" in done.stdout


CHILD = """
import os, sys, time
from bsim.bench.cards import SELECT
from bsim.bench.pcsc import Client
from bsim.card import T0
from bsim.lab.reader import ReaderCard, ReaderError, readers
from bsim.links import pcscd
from bsim.links.vpcd import VpcdLink
from bsim.profiles import personalisation, ram_card

def tell(what):
    try:
        print(what())
    except ReaderError as fault:
        print(fault)

with pcscd.PrivatePcscd() as service:
    os.environ.update(service.environment)
    with VpcdLink(T0(ram_card(personalisation())), port=service.ports[0]):
        Client(service.readers[0]).wait(present=True)
        card = ReaderCard(0)
        card.transmit(SELECT)
        service.stop()
        tell(lambda: card.transmit(SELECT))
        tell(lambda: card.transmit(SELECT))
        service.start()
        Client(service.readers[0]).wait(present=True)
        tell(lambda: card.transmit(SELECT).hex())
        card.close()
    service.stop()
    pcscd._check_loopback = lambda ports: None
    write = pcscd.Path.write_text
    pcscd.Path.write_text = lambda path, text: write(path, "# no reader\\n")  # what is its reader.conf(5)
    service.start()
    tell(readers)
    tell(lambda: ReaderCard(0))
"""


def test_the_service_goes_and_comes_back_and_has_no_reader(pcscd):
    """In a process of its own, which has a pcscd of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PCSCLITE_CSOCK_NAME"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "start it" in said[0] or "start pcscd" in said[0], said
    assert "no service is running" in said[1], said
    assert said[2] == "9000", said
    assert said[3] == "[]", said
    assert "no reader is connected; plug one in" in said[4], said
