"""What makes a card one subscriber's: checked as people type it, and turned into records. No secret is repeated."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple

from bsim.applets import file_tree, pins, subscriber
from bsim.applets.file_tree import File, FilesState
from bsim.applets.pins import ADM, PIN1, PIN2, Code, PinsState, padded
from bsim.applets.proactive import encode_alpha
from bsim.applets.subscriber import TEST_PLMN, SubscriberState, encode_contact
from bsim.spec import file_system

_KEY: Final = 16
_MOST_NETWORKS: Final = 8
_PHONEBOOK: Final = "MF/DF.TELECOM/EF.ADN"


class Subscription(NamedTuple):
    """A subscriber, the PINs, and contacts (name and number) for the phonebook."""

    who: SubscriberState = subscriber.DEFAULT
    pins: PinsState = pins.DEFAULT
    contacts: tuple[tuple[str, str], ...] = ()
    network: str = TEST_PLMN

    def records(self, iccid_digits: str) -> dict[str, bytes | None]:
        """Answer the records of a new card. Where no IMSI was given the network's is made of the ICCID's digits."""
        who = self.who
        if not who.imsi and self.network != TEST_PLMN:
            who = replace(who, imsi=self.network + iccid_digits[:-1][-(15 - len(self.network)) :])
        files = FilesState(self._phonebook())
        return {
            **subscriber.LAYOUT.changes(None, who),
            **pins.LAYOUT.changes(None, self.pins),
            **file_tree.LAYOUT.changes(None, files),
        }

    def _phonebook(self) -> Mapping[bytes, File | None]:
        if not self.contacts:
            return MappingProxyType({})
        declared = file_system().named(_PHONEBOOK)
        entries = b"".join(encode_contact(name, number) for name, number in self.contacts)
        content = entries.ljust(declared.size, b"\xff")
        return MappingProxyType({declared.path: replace(new_files()[declared.path], content=content)})


@cache
def new_files() -> Mapping[bytes, File]:
    """Answer the files of a new card, made once."""
    return file_tree.factory(file_system())


def subscription(
    *,
    imsi: str = "",
    msisdn: str = "",
    name: str | None = None,
    centre: str | None = None,
    network: str = "",
    networks: Iterable[str] = (),
    ki: str = "",
    opc: str = "",
    op: str = "",
    algorithm: str = "milenage",
    pin1: str = "",
    puk1: str = "",
    pin2: str = "",
    puk2: str = "",
    adm: str = "",
    contacts: Iterable[tuple[str, str]] = (),
) -> Subscription:
    """Check what is told of a subscriber; ValueError says what is wrong, and repeats no secret.

    `ki`, `opc` and `op` are 32 hex digits; of the last two one will do. A `pin1` is asked for from then on.
    `network` and `networks` are MCC and MNC, as in 001-01; the first is home where there is no IMSI.
    """
    if imsi and network:
        raise ValueError("an IMSI says which network is home")
    key, operator = _keys(ki=ki, opc=opc, op=op)
    who = replace(
        subscriber.DEFAULT,
        imsi=_imsi(imsi),
        msisdn=_number("MSISDN", msisdn),
        name=_name("the provider's name", subscriber.DEFAULT.name if name is None else name, 16),
        centre=_number("service centre", subscriber.DEFAULT.centre if centre is None else centre),
        plmns=_preferred(networks),
        algorithm=_algorithm(algorithm),
        ki=key,
        opc=operator,
    )
    codes = _codes(pin1=pin1, puk1=puk1, pin2=pin2, puk2=puk2, adm=adm)
    return Subscription(who, codes, _contacts(contacts), _plmn(network) if network else TEST_PLMN)


def _imsi(digits: str) -> str:
    if digits and not (digits.isascii() and digits.isdigit() and 6 <= len(digits) <= 15):
        raise ValueError("an IMSI has 6 to 15 digits")
    return digits


def _algorithm(name: str) -> str:
    from bsim.crypto.milenage import ALGORITHMS  # noqa: PLC0415 - most cards are of the test network

    if name not in ALGORITHMS:
        raise ValueError(f"no algorithm {name!r}; there is {', '.join(ALGORITHMS)}")
    return name


def _keys(*, ki: str, opc: str, op: str) -> tuple[bytes, bytes]:
    """The key and OPc: those of the tests where none was given."""
    from bsim.crypto.milenage import opc_of  # noqa: PLC0415 - as above

    if opc and op:
        raise ValueError("OPc is made of OP: one of the two will do")
    key = _secret("Ki", ki) or subscriber.TEST_KI
    operator = opc_of(key, _secret("OP", op)) if op else _secret("OPc", opc)
    return key, operator or subscriber.TEST_OPC


def _preferred(networks: Iterable[str]) -> tuple[str, ...]:
    preferred = tuple(map(_plmn, networks))
    if len(preferred) > _MOST_NETWORKS:
        raise ValueError(f"there is room for {_MOST_NETWORKS} preferred networks")
    return preferred


def _codes(*, pin1: str, puk1: str, pin2: str, puk2: str, adm: str) -> PinsState:
    values = {PIN1: (pin1, puk1), PIN2: (pin2, puk2), ADM: (adm, "")}
    return PinsState(tuple(_code(code, *values.get(code.reference, ("", ""))) for code in pins.DEFAULT.codes))


def _code(code: Code, pin: str, puk: str) -> Code:
    try:
        value, unblocking = padded(pin) if pin else code.value, padded(puk) if puk else code.unblocking
    except ValueError:
        raise ValueError("a PIN has four to eight digits, a PUK eight") from None
    if puk and len(puk) != pins.PIN_LENGTH:
        raise ValueError("a PUK has eight digits")
    return replace(code, value=value, unblocking=unblocking, enabled=code.enabled or bool(pin))


def _secret(what: str, digits: str) -> bytes:
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        value = b"?"
    if len(value) not in {0, _KEY}:
        raise ValueError(f"{what} has 32 hex digits")
    return value


def _number(what: str, number: str) -> str:
    digits = number.removeprefix("+")
    if digits and not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise ValueError(f"{what}: a number has up to 20 digits, with + before an international one")
    return number


def _name(what: str, text: str, most: int) -> str:
    if len(encode_alpha(text)) > most:
        raise ValueError(f"{what} has up to {most} bytes (UCS2 needs two for a character, and one for all)")
    return text


def _plmn(text: str) -> str:
    digits = text.replace("-", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) in {5, 6}):
        raise ValueError("a network is MCC and MNC, as in 001-01 or 310-410")
    return digits


def _contacts(contacts: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    found = tuple((_name("a contact's name", name, 18), _number("a contact", number)) for name, number in contacts)
    declared = file_system().named(_PHONEBOOK)
    if len(found) > declared.size // declared.record:
        raise ValueError(f"the phonebook holds {declared.size // declared.record} contacts")
    return found
