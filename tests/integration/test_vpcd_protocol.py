"""The vpcd link's protocol, byte by byte, against a driver played by the test over a real socket."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from bsim.links.vpcd import VpcdLink
from bsim.ports import CardMute, CardRemoved

OFF, ON, RESET, ATR = b"\x00", b"\x01", b"\x02", b"\x04"


class Card:
    """Tells what was done to it; answers the command's length and 9000."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def reset(self) -> bytes:
        self.log.append("reset")
        return b"\x3b\x00"

    def transmit(self, command: bytes) -> bytes:
        self.log.append(command.hex())
        return len(command).to_bytes(2, "big") + b"\x90\x00"


class Driver:
    """vpcd's side of one slot."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._card: socket.socket | None = None

    def accept(self) -> None:
        self._listener.settimeout(30)
        self._card, _ = self._listener.accept()
        self._card.settimeout(30)
        self._card.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def drop(self) -> None:
        if self._card is not None:
            self._card.close()
            self._card = None

    def close(self) -> None:
        self.drop()
        self._listener.close()

    def put(self, raw: bytes) -> None:
        self._card.sendall(raw)

    def send(self, *bodies: bytes) -> None:
        self.put(b"".join(len(body).to_bytes(2, "big") + body for body in bodies))

    def receive(self) -> bytes:
        def exactly(count: int) -> bytes:
            data = b""
            while len(data) < count and (more := self._card.recv(count - len(data))):
                data += more
            return data

        return exactly(int.from_bytes(exactly(2), "big"))

    def ask(self, *bodies: bytes) -> bytes:
        """Send messages of which the last is answered."""
        self.send(*bodies)
        return self.receive()


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()


@pytest.fixture
def card() -> Card:
    return Card()


@pytest.fixture
def link(driver: Driver, card: Card) -> Iterator[VpcdLink]:
    with VpcdLink(card, port=driver.port) as link:
        driver.accept()
        yield link


def test_the_atr_order_is_answered_and_resets_nothing(driver, link, card):
    for _ in range(5):
        assert driver.ask(ATR) == b"\x3b\x00"
    assert card.log == ["reset"]  # when the card was put in
    assert link.ready.is_set()


@pytest.mark.parametrize(
    ("orders", "resets"),
    [((ON,), 1), ((OFF,), 1), ((OFF, ON), 1), ((OFF, OFF, ON), 1), ((RESET,), 1), ((RESET, RESET), 2), ((ATR,), 0)],
)
def test_each_power_cycle_of_a_used_card_is_one_reset(driver, link, card, orders, resets):
    driver.ask(b"\x00\xa4\x00\x00")
    assert driver.ask(*(order for order in orders if order != ATR), ATR) == b"\x3b\x00"
    assert card.log == ["reset", "00a40000", *["reset"] * resets]


def test_powering_an_unused_card_on_is_no_second_reset(driver, link, card):
    assert driver.ask(ON, ATR) == b"\x3b\x00"
    assert card.log == ["reset"]


def test_messages_may_come_byte_by_byte(driver, link, card):
    for byte in b"\x00\x05\x00\xca\x00\x00\x02":
        driver.put(bytes((byte,)))
    assert driver.receive() == b"\x00\x05\x90\x00"
    assert card.log == ["reset", "00ca000002"]


def test_many_messages_may_come_in_one_segment(driver, link, card):
    driver.send(ON, ATR, b"\x00\x01\x00\x00", ATR, b"\x00\x02\x00\x00\x00")
    assert [driver.receive() for _ in range(4)] == [
        b"\x3b\x00",
        b"\x00\x04\x90\x00",
        b"\x3b\x00",
        b"\x00\x05\x90\x00",
    ]


@pytest.mark.parametrize("length", [0, 1, 2, 255, 256, 65_007, 65_535])
def test_commands_of_every_length_reach_the_card(driver, link, length):
    command = b"\x80" * length  # of one byte: no order of the driver's, so a command
    assert driver.ask(command) == length.to_bytes(2, "big") + b"\x90\x00"


def test_a_response_too_long_for_a_message_is_refused(driver, caplog):
    class Talkative(Card):
        def transmit(self, command: bytes) -> bytes:
            return bytes(65_534 + command[0]) + b"\x90\x00"

    with VpcdLink(Talkative(), port=driver.port):
        driver.accept()
        assert driver.ask(b"\x00\x00") == b"\x6f\x00"
        assert driver.ask(ATR) == b"\x3b\x00"


def test_the_card_loses_power_with_the_connection_and_comes_back(driver, link, card):
    driver.ask(ATR)
    driver.ask(b"\x00\x01\x00\x00")
    driver.drop()
    driver.accept()
    assert driver.ask(ON, ATR) == b"\x3b\x00"
    assert card.log == ["reset", "00010000", "reset"]


def test_the_driver_may_come_after_the_card(card, caplog):
    caplog.set_level(logging.INFO, "bsim.links.vpcd")
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))  # bound and not listening: refused
        with VpcdLink(card, port=place.getsockname()[1]):
            while not caplog.records:  # until it has been refused
                threading.Event().wait(0.01)
            place.listen()
            connection, _ = place.accept()
            connection.close()


def test_an_occupied_slot_is_told_and_waited_for(card, caplog):
    caplog.set_level(logging.INFO, "bsim.links.vpcd")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        VpcdLink(card, port=listener.getsockname()[1], silent=0.01) as link,
    ):
        while not caplog.records:  # connected, and nobody asks
            threading.Event().wait(0.01)
        assert "seems to hold another card" in caplog.text
        assert not link.ready.is_set()
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"\x00\x01" + ATR)
            assert connection.recv(4, socket.MSG_WAITALL) == b"\x00\x02\x3b\x00"
        assert caplog.text.count("another card") == 1


def test_the_log_speaks_once_a_change_and_never_of_commands(driver, link, caplog):
    caplog.set_level(logging.DEBUG, "bsim.links.vpcd")
    for _ in range(2):
        driver.ask(ATR)
        driver.ask(ATR)
        driver.ask(bytes.fromhex("807A000006313233343536"))
        driver.drop()
        driver.accept()
    driver.ask(ATR)
    said = [record.getMessage() for record in caplog.records]
    assert [message.split()[0] for message in said] == ["the", "no", "the", "no", "the"]
    assert not any("3132" in message for message in said)


def test_stop_ends_a_link_that_has_no_driver(card):
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        link = VpcdLink(card, port=place.getsockname()[1])
        link.start()
        link.stop()
        link.join()


def test_stop_ends_a_link_that_waits_for_the_driver(driver, card):
    link = VpcdLink(card, port=driver.port)
    link.start()
    driver.accept()
    driver.ask(b"\x00\x01\x00\x00")
    link.stop()
    link.stop()
    link.join()
    assert not link.ready.is_set()
    assert card.log == ["reset", "00010000", "reset"]  # out of the slot, out of power


@pytest.mark.parametrize("listening", [True, False])
def test_stop_works_from_a_signal_handler_of_the_thread_that_runs(card, listening):
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        if listening:
            place.listen()
        link = VpcdLink(card, port=place.getsockname()[1])
        before = signal.signal(signal.SIGALRM, lambda *_: link.stop())
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            link.run()
        finally:
            signal.signal(signal.SIGALRM, before)


def test_a_card_that_breaks_its_contract_is_heard_of_and_taken_out(driver):
    class Broken(Card):
        def transmit(self, command: bytes) -> bytes:
            raise ZeroDivisionError

    link = VpcdLink(Broken(), port=driver.port)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            link.run()
        except ZeroDivisionError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        driver.accept()
        assert driver.ask(b"\x00\x01\x00\x00") == b""  # the connection has ended
    finally:
        link.stop()  # it has; else it would be waited for
        thread.join()
    assert raised


@pytest.mark.parametrize("loss", [CardRemoved, CardMute])
def test_a_lost_card_leaves_the_slot_and_comes_back_reset(driver, loss, caplog):
    class Loose(Card):
        def transmit(self, command: bytes) -> bytes:
            super().transmit(command)
            if command[1] == 1:
                raise loss("pulled")
            return b"\x90\x00"

    caplog.set_level(logging.INFO, "bsim")
    card = Loose()
    with VpcdLink(card, port=driver.port, out=0.0, waiting=0.0):
        driver.accept()
        assert driver.ask(b"\x00\x01\x00\x00") == b""  # the connection has ended
        driver.drop()
        driver.accept()
        assert driver.ask(ATR) == b"\x3b\x00"
        assert driver.ask(ON, b"\x00\x02\x00\x00") == b"\x90\x00"
        driver.drop()
    assert card.log[:4] == ["reset", "00010000", "reset", "00020000"]
    assert "pulled; it comes back" in caplog.text


def test_a_card_that_is_not_there_yet_is_waited_for(driver, caplog):
    class Late(Card):
        def reset(self) -> bytes:
            super().reset()
            if len(self.log) < 3:
                raise CardRemoved("no card")
            return b"\x3b\x00"

    caplog.set_level(logging.INFO, "bsim")
    card = Late()
    with VpcdLink(card, port=driver.port):
        driver.accept()
        assert driver.ask(ATR) == b"\x3b\x00"
        driver.drop()
    assert card.log[:3] == ["reset"] * 3
    assert caplog.text.count("no card to put into") == 1


def test_a_lost_card_is_put_in_again_at_once_if_asked(driver):
    class Loose(Card):
        def transmit(self, command: bytes) -> bytes:
            raise CardRemoved("pulled")

    with VpcdLink(Loose(), port=driver.port, out=3600.0) as link:
        driver.accept()
        assert driver.ask(b"\x00\x01\x00\x00") == b""
        driver.drop()
        link.insert()
        driver.accept()
        assert driver.ask(ATR) == b"\x3b\x00"
        driver.drop()


def test_stop_ends_the_wait_for_a_lost_card(driver):
    class Lost(Card):
        def transmit(self, command: bytes) -> bytes:
            raise CardMute("silent")

    link = VpcdLink(Lost(), port=driver.port, out=3600.0, waiting=3600.0)
    link.start()
    driver.accept()
    driver.send(b"\x00\x01\x00\x00")
    link.stop()
    link.join()
