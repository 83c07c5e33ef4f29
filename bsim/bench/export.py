"""What a SIM tool sends to read every file of a card, with T=0: made on a card in this process, to be sent again."""

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Final

from bsim.card import T0
from bsim.ports import Card
from bsim.profiles import personalisation, ram_card
from bsim.spec import file_system
from bsim.spec.files import MF, FileSpec, Structure

TPDUS: Final = 5_000
_CHUNK: Final = 255


def export() -> list[bytes]:
    """Answer the TPDUs of full exports, one after the other, as many as there are to be."""
    card = T0(ram_card(personalisation(blank=True)))
    whole = [tpdu for file in file_system().files.values() for tpdu in _read(card, file)]
    return list(islice(cycle(whole), TPDUS))


def _read(card: Card, file: FileSpec) -> Iterator[bytes]:
    """Select a file from the master file down, and read all of it."""
    for command in _selections(file.path):
        yield from _sent(card, command)
    if file.structure is Structure.TRANSPARENT:
        for at in range(0, file.size, _CHUNK):
            yield from _sent(card, bytes((0x00, 0xB0, at >> 8, at & 0xFF, min(file.size - at, _CHUNK))))
    elif file.record:
        for number in range(1, file.size // file.record + 1):
            yield from _sent(card, bytes((0x00, 0xB2, number, 0x04, file.record)))


def _selections(path: bytes) -> Iterator[bytes]:
    files = file_system().files
    for end in range(len(MF), len(path) + 1, len(MF)):
        aid = files[path[:end]].aid
        name = aid or path[:end][-2:]
        yield bytes((0x00, 0xA4, 0x04 if aid else 0x00, 0x04, len(name))) + name


def _sent(card: Card, command: bytes) -> Iterator[bytes]:
    """Send a command; answers it, and the GET RESPONSE that fetches what it has to say."""
    yield command
    response = card.transmit(command)
    if response[-2] == 0x61:
        fetch = bytes((0x00, 0xC0, 0x00, 0x00, response[-1]))
        card.transmit(fetch)
        yield fetch
