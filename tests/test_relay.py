"""Relays: what a reader says of a lost card becomes what links understand, and whoever watches sees no secret."""

import pytest
from helpers import BPIN, new_card

from bsim.cli.relay import _Printer
from bsim.lab.reader import MuteCardError, NoCardError, ReaderError
from bsim.lab.record import Recorder
from bsim.lab.relay import Relay, Watched
from bsim.lab.trace import read
from bsim.ports import CardLost, CardMute, CardRemoved

VERSION = bytes.fromhex("00CA000002")


class Failing:
    """A card in a reader that fails in a way, until it is told not to."""

    def __init__(self, fault):
        self.fault = fault

    def reset(self):
        return self.transmit(b"")

    def transmit(self, command):
        if self.fault:
            raise self.fault
        return b"\x90\x00"


@pytest.mark.parametrize(
    ("fault", "loss"),
    [
        (MuteCardError("silent"), CardMute),
        (NoCardError("empty"), CardRemoved),
        (ReaderError("the reader has gone"), CardRemoved),
    ],
)
def test_a_readers_trouble_is_a_lost_card(tmp_path, fault, loss):
    card = Failing(fault)
    relay = Relay(card)
    for what in (relay.reset, lambda: relay.transmit(VERSION)):
        with pytest.raises(loss, match=str(fault)):
            what()
    card.fault = None
    assert relay.reset() == relay.transmit(VERSION) == b"\x90\x00"
    # A recording has it in both forms.
    path = tmp_path / "run.bsimtrace"
    for lost in (Failing(fault), Relay(Failing(fault))):
        with Recorder(lost, path) as recorder, pytest.raises((CardLost, ReaderError)):
            recorder.transmit(VERSION)
    assert [one.lost for one in read(path).exchanges] == [loss.__name__] * 2


def test_what_is_no_command_is_not_the_end_of_a_card():
    assert Relay(Failing(NoCardError("touched"))).transmit(b"\x00") == b"\x67\x00"


@pytest.mark.parametrize("as_json", [False, True])
def test_who_watches_sees_everything_but_secrets(capsys, as_json):
    card = Watched(new_card(), _Printer(as_json))
    card.reset()
    card.transmit(bytes.fromhex("00A4040C10A000000533C000FF860000000000054D"))
    card.transmit(bytes.fromhex("807A000006") + BPIN.encode())
    with pytest.raises(CardRemoved):
        Watched(Failing(CardRemoved("pulled")), _Printer(as_json)).transmit(VERSION)
    told = capsys.readouterr().out
    assert BPIN.encode().hex() not in told
    for words in ("3B8B", "SET_BPIN", "************", "SELECT", "pulled", "00CA000002"):
        assert words in told
