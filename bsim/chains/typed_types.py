"""EIP-712's types: structs, their members and arrays of them, read strictly and written as `encodeType` does."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from bsim.crypto.keccak import keccak256

MAX_STRUCTS: Final = 64  # ours: enough for any protocol, and what hashing all of their names costs has a bound

_LONGEST: Final = 256  # ours: characters of a type, brackets and all
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}")
_SIZES: Final = "|".join(str(bits) for bits in range(8, 257, 8))
_ATOMIC: Final = re.compile(
    rf"address|bool|string|bytes(?P<length>[1-9]|[12][0-9]|3[0-2])?|(?P<unsigned>u?)int(?P<bits>{_SIZES})"
)
_ARRAY: Final = re.compile(r"(.+)\[([1-9][0-9]{0,4})?\]", re.DOTALL)
# Elementary types of Solidity that EIP-712 does not have: a struct of such a name would pass for one.
_ELEMENTARY: Final = re.compile(r"address|bool|string|byte|u?int[0-9]*|bytes[0-9]*|u?fixed([0-9]+x[0-9]+)?")


class Member(NamedTuple):
    """A member of a struct."""

    name: str
    type: str


def array(name: str) -> tuple[str, int | None] | None:
    """Answer the element's type and the length (None: any) of an array's type; None for any other type."""
    match = _ARRAY.fullmatch(name)
    return (match[1], int(match[2]) if match[2] else None) if match else None


def atomic(name: str) -> re.Match[str] | None:
    """Match an atomic or dynamic type: groups `length` of bytesN, `unsigned` ("u" or "") and `bits` of numbers."""
    return _ATOMIC.fullmatch(name)


@dataclass(frozen=True, slots=True)
class Types:
    """All structs of one typed data, every reference of theirs resolved."""

    structs: Mapping[str, tuple[Member, ...]]

    @classmethod
    def parse(cls, given: object) -> Self:
        """Read the object `types`; ValueError for names or references that are none."""
        if not isinstance(given, dict) or not 1 <= len(given) <= MAX_STRUCTS:
            raise ValueError(f"types: not an object of 1 to {MAX_STRUCTS} structs")
        types = cls({name: _struct(name, members) for name, members in given.items()})
        for members in types.structs.values():
            for member in members:
                base = _base(member.type)
                if base not in types.structs and atomic(base) is None:
                    raise ValueError("types: a member of a type that is not there")
        return types

    def reached(self, name: str) -> set[str]:
        """Answer the structs that a struct is made of, itself among them."""
        found, left = {name}, [name]
        while left:
            more = set(self._references(left.pop())) - found
            found |= more
            left += more
        return found

    def _references(self, name: str) -> Iterator[str]:
        return (base for member in self.structs[name] if (base := _base(member.type)) in self.structs)

    def written(self, name: str) -> str:
        """Answer `encodeType`: the struct, then those it refers to by their names' order."""
        return "".join(self._own(one) for one in (name, *sorted(self.reached(name) - {name})))

    def _own(self, name: str) -> str:
        members = ",".join(f"{member.type} {member.name}" for member in self.structs[name])
        return f"{name}({members})"

    def hash(self, name: str) -> bytes:
        """Answer `typeHash`."""
        return keccak256(self.written(name).encode())


def _base(name: str) -> str:
    """Answer what an array of arrays holds in the end."""
    for _ in range(name.count("[")):
        found = array(name)
        if found is None:
            raise ValueError("types: an array that is not written as one")
        name = found[0]
    return name


def _struct(name: object, members: object) -> tuple[Member, ...]:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or _ELEMENTARY.fullmatch(name):
        raise ValueError("types: a struct's name that is none")
    if not isinstance(members, list):
        raise ValueError("types: a struct is a list of members")
    found = tuple(map(_member, members))
    if len({member.name for member in found}) != len(found):
        raise ValueError("types: two members of one name")
    return found


def _member(given: object) -> Member:
    if not isinstance(given, dict) or given.keys() != {"name", "type"}:
        raise ValueError("types: a member has a name and a type, and nothing else")
    name, kind = given["name"], given["type"]
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or not isinstance(kind, str) or len(kind) > _LONGEST:
        raise ValueError("types: a member whose name or type is none")
    return Member(name, kind)
