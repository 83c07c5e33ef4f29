"""The cards of the pcsc bench, each in a process of its own: pcsc_cards.py CARD PORT."""

import socket
import sys
from collections.abc import Callable
from typing import Final

import bsim
from bsim.card import T0
from bsim.links.vpcd import Order, VpcdLink

ANSWER: Final = bytes.fromhex("00519000")  # two bytes of version and the status word, from all three cards
ATR: Final = bytes.fromhex("3B00")
_LOCAL: Final = "127.0.0.1"


def serve_ours(port: int) -> None:
    """A card of bsim."""
    VpcdLink(T0(bsim.new_card()), port=port).run()


def serve_echo(port: int) -> None:
    """The floor: the least a card can do that knows about delayed acknowledgements."""
    with socket.create_connection((_LOCAL, port)) as driver:
        driver.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            driver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            if not (length := driver.recv(2)):
                return
            driver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            message = driver.recv(int.from_bytes(length, "big"))
            if reply := _reply(message):
                driver.sendall(reply)


def serve_naive(port: int) -> None:
    """What vsmartcard's vicc does: no socket options, length and body in two sends (VirtualSmartcard.py)."""
    with socket.create_connection((_LOCAL, port)) as driver:
        while length := driver.recv(2):
            message = driver.recv(int.from_bytes(length, "big"))
            if reply := _reply(message):
                driver.sendall(reply[:2])
                driver.sendall(reply[2:])


def _reply(message: bytes) -> bytes:
    if len(message) > 1:
        return len(ANSWER).to_bytes(2, "big") + ANSWER
    if message == bytes((Order.ATR,)):
        return len(ATR).to_bytes(2, "big") + ATR
    return b""


CARDS: Final[dict[str, Callable[[int], None]]] = {
    "echo": serve_echo,
    "ours": serve_ours,
    "naive": serve_naive,
}


if __name__ == "__main__":
    CARDS[sys.argv[1]](int(sys.argv[2]))
