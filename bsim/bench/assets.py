"""What collectibles cost: a page of a list, the list as a whole, and one more asset, on small and on full cards."""

import tempfile
from pathlib import Path
from typing import Final

from bsim.bench.cards import SELECT, Bench, apdu, chosen, must, powered, stored
from bsim.bench.runner import Contestant, Fresh, Loop, Plan, Result, interleave
from bsim.chains.asset import Asset, Standard, parse_all
from bsim.profiles import power_on
from bsim.store import RamStore, SqliteStore
from bsim.sw import OK, SW

FEW: Final = 100
MANY: Final = 10_000
_PAGES: Final = 60
"""So many pages of a list even the small card has."""
_FLOOR: Final = f"a page, {FEW} assets"
_FIRST: Final = apdu("LIST_ASSETS", filter=0, part=0, wanted=b"")
_NEXT: Final = apdu("LIST_ASSETS", filter=0, part=1, wanted=b"")


def asset(number: int) -> Asset:
    """Answer one of as many assets as are wanted, with a name and a media URI as most have."""
    return Asset(
        slot=1,
        family=1,
        chain_id=b"\x01",
        contract=(number // 100).to_bytes(20, "big"),
        token_id=number.to_bytes(32, "big"),
        standard=Standard.ERC721,
        acquired_at=1_735_689_600 + number,
        name=f"Harbour Cat #{number}",
        media=f"ipfs://bafybeidky4itkoutr3rbybhxuydxud7fnmdv4oanycifv6hnt2nb22il5m/{number}",
        issuer="Pier Nine Studio",
    )


def filled(count: int, store: RamStore | SqliteStore | None = None) -> Bench:
    """Answer a card that lists so many assets, its BPIN verified."""
    bench = powered(store=stored(1, store))
    for number in range(count):
        must(bench.bare, _add(number))
    return bench


def read(bench: Bench) -> bytes:
    """Read the whole list."""
    found, response = [], bench.bare.transmit(_FIRST)
    while response[-2:] == SW.MORE_DATA.encoded:
        found.append(response[:-2])
        response = bench.bare.transmit(_NEXT)
    if response[-2:] != OK:
        raise RuntimeError(f"LIST ASSETS was answered with {response[-2:].hex()}")
    return b"".join([*found, response[:-2]])


def bench(plan: Plan, many: int = MANY) -> Result:
    """A page, a list and an addition where there are few and many assets; a card file with many."""
    result = Result("assets", f"collectibles, {FEW} and {many:,} of them", _FLOOR, plan.rounds)
    with tempfile.TemporaryDirectory(prefix="bsim-bench-") as folder, chosen(plan.engine):
        records = RamStore()
        few, full_card = filled(FEW), filled(many, records)
        store = SqliteStore(Path(folder, "card.bsim"), create=True)
        store.write(records.read())
        kept = powered(store=store)
        numbers = iter(range(10**6, 10**9))
        pages = (_FIRST, *[_NEXT] * (_PAGES - 1))
        full = f"{many:,} assets"
        contestants: dict[str, Contestant] = {
            _FLOOR: Loop(plan, few.bare.transmit, pages),
            f"a page, {full}": Loop(plan, full_card.bare.transmit, pages),
            f"the list, {full}": Loop(plan, lambda _: read(full_card), (0,)),
            f"the list, {full}, of a slot without any": Loop(plan, lambda _: _of_slot(full_card), (0,)),
            f"reading the list, {full}, in the client": Loop(plan, parse_all, (read(full_card),)),
            f"ADD ASSET, {FEW} assets": Fresh(plan, lambda: _add(next(numbers)), few.bare.transmit),
            f"ADD ASSET, {full}": Fresh(plan, lambda: _add(next(numbers)), full_card.bare.transmit),
            f"ADD ASSET, {full}, file": Fresh(plan, lambda: _add(next(numbers)), kept.bare.transmit),
            f"power_on, {full}": Loop(plan, lambda kept: must(power_on(RamStore(kept)), SELECT), (records.read(),)),
        }
        samples = interleave(contestants, plan)
        kept.bare.close()
    result.add(samples)
    result.at_most(samples, f"a page, {full}", _FLOOR, 1.1)
    listed = next(row.value for row in result.rows if row.name == f"the list, {full}")
    result.notes.append(f"The list of {full} takes {listed / 1000:.1f} ms; it is to take 60 at most.")
    return result


def _of_slot(bench: Bench) -> bytes:
    return must(bench.bare, apdu("LIST_ASSETS", filter=3, part=0, wanted=b"\x7f"))


def _add(number: int) -> bytes:
    return apdu("ADD_ASSET", asset=asset(number).encode_new())
