"""Every key of a fleet as a table: rows, CSV, JSON. Nothing secret is in it."""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TextIO

from bsim.applets import issuer, wallet_state
from bsim.chains import address, coin_name
from bsim.crypto.algorithm import Algorithm
from bsim.fleet.cards import Fleet

COLUMNS: Final = ("card", "iccid", "slot", "coin_type", "coin", "algorithm", "public_key", "address")


class FleetAccount(NamedTuple):
    """A key in a slot (1-127) of a card: 65 bytes of an uncompressed point, or 32 of an Ed25519 key."""

    card: int
    iccid: str
    slot: int
    coin_type: int
    algorithm: Algorithm
    public_key: bytes

    @property
    def address(self) -> str | None:
        """The address in the chain's own text form; None where bsim does not know the chain."""
        return address(self.coin_type, self.algorithm, self.public_key)

    def row(self) -> dict[str, int | str | None]:
        """The account by `COLUMNS`, as CSV and JSON have it."""
        values = (self.card, self.iccid, self.slot, self.coin_type, coin_name(self.coin_type))
        return dict(
            zip(COLUMNS, (*values, self.algorithm.name.lower(), self.public_key.hex(), self.address), strict=True)
        )


def accounts(fleet: Fleet, processes: int = 1) -> Iterator[FleetAccount]:
    """Answer the keys of all cards as they are now, in order of cards and slots; makes those not made yet."""
    for cards in fleet.making(processes):
        for card in cards:
            records = fleet.memory.read(card)
            iccid = _digits(issuer.LAYOUT.load(records).iccid)
            for number, slot in enumerate(wallet_state.LAYOUT.load(records).slots, 1):
                yield FleetAccount(card, iccid, number, slot.coin_type, slot.algorithm, slot.public_key)


def write_csv(rows: Iterable[FleetAccount], stream: TextIO) -> None:
    """Write a header and a line for each account. RFC 4180, but with the line ends of the stream."""
    table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(account.row() for account in rows)


def write_json(rows: Iterable[FleetAccount], stream: TextIO) -> None:
    """Write one array with an object on a line for each account; nothing is kept in memory."""
    before = "[\n"
    for account in rows:
        stream.write(before + json.dumps(account.row(), ensure_ascii=False))
        before = ",\n"
    stream.write("[]\n" if before == "[\n" else "\n]\n")


def _digits(iccid: bytes) -> str:
    """EF.ICCID as digits: nibbles swapped, the padding F left out. ETSI TS 102 221 13.2."""
    return "".join(f"{byte & 15:X}{byte >> 4:X}" for byte in iccid).rstrip("F")
