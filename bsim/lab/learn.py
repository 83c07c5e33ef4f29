"""Learns a card's likeness from a twin test: its seconds for each command and byte, and what it answers otherwise."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bsim.lab.diff import Pair, commands_of, differences
from bsim.lab.likeness import Latency, Likeness, command_name
from bsim.lab.runner import Exchange
from bsim.lab.shape import is_own
from bsim.sw import OK

_P95: Final = 0.95


def learn(name: str, pairs: Sequence[Pair]) -> Likeness:
    """Answer the likeness of the first card of each pair."""
    exchanges = [one for pair in pairs for one in pair.first.exchanges if one.response is not None]
    per_byte = _per_byte(exchanges)
    own = list(_both(pairs))
    return Likeness(
        name=name,
        title=f"learned from {len(exchanges)} exchanges",
        per_byte=per_byte,
        latency={command: _latency(found, per_byte) for command, found in sorted(_by_name(exchanges).items())},
        sws=_status_words(own),
        answers=dict(_answers(own)),
        notes=tuple(dict.fromkeys(f"{d.what}, {d.command}: {d.first}; ours: {d.second}" for d in differences(pairs))),
    )


def _by_name(exchanges: Iterable[Exchange]) -> dict[str, list[Exchange]]:
    found: defaultdict[str, list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        found[command_name(exchange.raw)].append(exchange)
    return dict(found)


def _size(exchange: Exchange) -> int:
    return len(exchange.raw) + len(exchange.response or b"")


def _latency(exchanges: Sequence[Exchange], per_byte: float) -> Latency:
    # What a refusal takes says nothing of what the command takes; where only refusals were seen, they must do.
    done = [exchange for exchange in exchanges if (exchange.response or b"")[-2:] == OK] or exchanges
    beside = sorted(max(exchange.seconds - per_byte * _size(exchange), 0.0) for exchange in done)
    return Latency(statistics.median(beside), beside[min(int(_P95 * len(beside)), len(beside) - 1)])


def _per_byte(exchanges: Sequence[Exchange]) -> float:
    """Seconds a byte: the slope within commands, as their own times differ. Never negative."""
    over = under = 0.0
    for found in _by_name(exchanges).values():
        size = statistics.fmean(map(_size, found))
        seconds = statistics.fmean(exchange.seconds for exchange in found)
        over += sum((_size(one) - size) * (one.seconds - seconds) for one in found)
        under += sum((_size(one) - size) ** 2 for one in found)
    return max(over / under, 0.0) if under else 0.0


def _both(pairs: Iterable[Pair]) -> Iterator[tuple[Exchange, Exchange]]:
    for pair in pairs:
        for one, other in zip(pair.first.exchanges, pair.second.exchanges, strict=False):
            if one.response is None or other.response is None or one.raw != other.raw:
                break
            yield one, other
            if one.sw != other.sw:
                break  # what comes after may only follow from it


def _status_words(found: Iterable[tuple[Exchange, Exchange]]) -> dict[tuple[str, str], str]:
    """The status words it has in place of ours, where it always has them. A refusal stays one, for whatever reason."""
    seen: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for one, other in found:
        seen[command_name(one.raw), f"{other.sw:04X}"].add(f"{one.sw:04X}")
    return {
        key: next(iter(theirs))
        for key, theirs in seen.items()
        if len(theirs) == 1 and key[1] not in theirs and key[1] != "9000" and "9000" not in theirs
    }


def _answers(found: Iterable[tuple[Exchange, Exchange]]) -> Iterator[tuple[str, str]]:
    """Whole answers it gives to a command where ours differ, unless they hold what is one card's own."""
    seen: defaultdict[str, set[tuple[bytes, bytes]]] = defaultdict(set)
    for one, other in found:
        maybe = commands_of(one.raw)
        secret = any(is_own(command) or any(field.secret for field in command.data) for command in maybe)
        # Where only the status word differs, that is learned for the command as a whole.
        if not secret and one.sw == other.sw and one.response is not None and other.response is not None:
            seen[one.raw.hex().upper()].add((one.response, other.response))
    for raw, both in seen.items():
        theirs = {one for one, _ in both}
        if len(theirs) == 1 and all(one != other for one, other in both):
            yield raw, theirs.pop().hex().upper()
