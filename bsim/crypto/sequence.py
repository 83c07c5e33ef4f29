"""The sequence numbers of a USIM's authentication. 3GPP TS 33.102 annex C."""

from typing import Final

SLOTS: Final = 1 << 5
"""How many sequence numbers are remembered, one for each index. 3GPP TS 33.102 C.3.2."""


def fresh(sqn: int, known: tuple[int, ...]) -> tuple[int, ...] | None:
    """Take a sequence number, answering what is known from then on; None where it is not fresh.

    3GPP TS 33.102 C.2.2: SEQ must be above the highest taken under the same index. No limit is set to how far.
    """
    sequence, index = divmod(sqn, SLOTS)
    if sequence <= known[index]:
        return None
    return (*known[:index], sequence, *known[index + 1 :])


def highest(known: tuple[int, ...]) -> int:
    """Answer the highest sequence number taken, with its index. 3GPP TS 33.102 C.2.2."""
    sequence = max(known)
    return sequence * SLOTS + known.index(sequence)
