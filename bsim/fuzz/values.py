"""Where the values of fields come from: the declaration's domains, its examples, and what the card answered before.

A response field feeds the command fields of the same name: a ciphertext, a handle, a slot flow on by themselves.
"""

import random
from collections.abc import Iterable
from typing import Final

from bsim import tlv
from bsim.fuzz import cards
from bsim.fuzz.grammar import Entry, Grammar
from bsim.fuzz.rig import Rig
from bsim.spec import Field, Kind
from bsim.spec.domains import Domain

_KEPT: Final = 8
_DIGESTS: Final = (*(bytes((number,)) * 32 for number in (1, 2, 0x7F, 0x80, 0xFF)), bytes(range(32)))


class Pool:
    """Values by field name: what was sent in commands that ended well, what came back, and a few everybody knows."""

    def __init__(self, grammar: Grammar) -> None:
        self._values: dict[str, list[bytes]] = {
            "identifier": [*grammar.aids, *(aid[:7] for aid in grammar.aids), b"", b"\x3f\x00"],
            "bpin": [cards.BPIN.encode(), cards.NEW_BPIN.encode()],
            "key2": [b"Passw0rd"],
            "digest": list(_DIGESTS),
        }
        self._records: list[dict[str, bytes]] = []
        self._secrets: dict[int, list[bytes]] = {}

    def learn(self, rig: Rig) -> None:
        """Take note of a command that ended well, and of its answer."""
        entry, raw = rig.entry, rig.raw
        if entry is None:
            return
        command = entry.command
        record: dict[str, bytes] = {}
        if rig.data and len(command.response) == 1:
            record[command.response[0].name] = rig.data
        if command.data and not entry.tlv and len(raw) > 5 and raw[4]:
            at, end = 5, 5 + raw[4]
            for field in command.data:
                size = field.maximum if field.minimum == field.maximum else end - at
                record[field.name] = raw[at : at + size]
                at += size
        for name, value in record.items():
            self._keep(name, value)
        if rig.data and len(record) > 1:
            if len(self._records) >= _KEPT:
                del self._records[0]
            self._records.append(record)

    def together(self, rng: random.Random, entry: Entry) -> dict[str, bytes]:
        """Answer values that belong together, as they were in one command and its answer; nothing if there are none."""
        fields = entry.command.data
        if len(fields) < 2 or rng.random() < 0.4:
            return {}
        found = [one for one in self._records if all(field.name in one for field in fields)]
        return found[int(rng.random() * len(found))] if found else {}

    def know(self, secrets: Iterable[bytes]) -> None:
        """Take the cards' own PINs and codes for values of secret fields, alone and two together (old and new)."""
        known = sorted(set(secrets))
        for value in (*known, *(one + other for one in known for other in known)):
            of_length = self._secrets.setdefault(len(value), [])
            if value not in of_length:
                of_length.append(value)

    def value(self, rng: random.Random, field: Field) -> bytes | None:
        """Answer a known value that fits a field; None if there is none."""
        if field.secret and rng.random() < 0.7:
            secrets = self._secrets.get(field.minimum)
            if secrets:
                return secrets[int(rng.random() * len(secrets))]
        known = self._values.get(field.name)
        if not known:
            return None
        value = known[int(rng.random() * len(known))]
        size = len(value)
        return value if field.minimum <= size <= field.maximum else None

    def _keep(self, name: str, value: bytes) -> None:
        known = self._values.setdefault(name, [])
        if value not in known:
            if len(known) >= _KEPT + 6:
                del known[6]
            known.append(value)


def legal(rng: random.Random, pool: Pool, field: Field, domain: Domain, known: bytes | None = None) -> bytes:
    """Answer a legal value of a field, tag and length included; `known` is taken if there is one."""
    value = known if known is not None else pool.value(rng, field) if rng.random() < 0.7 else None
    if value is None:
        choice = rng.random()
        among = domain.boundary if choice < 0.3 else domain.legal
        value = among[int(rng.random() * len(among))]
        if choice > 0.9 and field.kind is Kind.BYTES:
            value = rng.randbytes(len(value))
    if field.tag is None:
        return value
    if len(value) <= tlv.MAX_SIMPLE and (len(value) < 128 or rng.random() < 0.5):
        return tlv.encode_simple(field.tag, value)
    return tlv.encode(field.tag, value)


def parameters(rng: random.Random, entry: Entry) -> tuple[int, int]:
    """Answer legal P1 and P2."""
    p1, p2 = entry.command.p1.legal, entry.command.p2.legal
    return p1[int(rng.random() * len(p1))], p2[int(rng.random() * len(p2))]
