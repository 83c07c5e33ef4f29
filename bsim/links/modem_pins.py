"""PINs as a modem handles them: +CPIN, +CLCK, +CPWD, +CPINR. 3GPP TS 27.007 7.4, 7.5, 8.3, 8.65."""

from typing import Final

from bsim import tlv
from bsim.applets.pins import PIN1, PIN2, padded
from bsim.links.modem_card import ModemCard
from bsim.links.modem_files import Files
from bsim.links.modem_results import Cme, CmeError, refusal
from bsim.sw import SW

_FACILITIES: Final = {"SC": PIN1, "P2": PIN2}
_COUNTERS: Final = (
    ("SIM PIN", "VERIFY_PIN", "pin", PIN1),
    ("SIM PUK", "UNBLOCK_PIN", "codes", PIN1),
    ("SIM PIN2", "VERIFY_PIN", "pin", PIN2),
    ("SIM PUK2", "UNBLOCK_PIN", "codes", PIN2),
)
_MOST: Final = {"VERIFY_PIN": 3, "UNBLOCK_PIN": 10}
_FCP, _PIN_STATUS, _ENABLED = 0x62, 0xC6, 0x90  # ETSI TS 102 221 11.1.1.4.10
_NO_REPLACEMENT: Final = 0x00


class ModemPins:
    """The PINs of one card. What was typed is never kept."""

    def __init__(self, card: ModemCard, files: Files) -> None:
        self._card: Final = card
        self._files: Final = files

    def state(self) -> str:
        """What the card waits for: READY where it is nothing."""
        try:
            self._files.imsi()
        except CmeError as refused:
            if refused.code is Cme.SIM_PIN_REQUIRED:
                return "SIM PIN" if self._left("VERIFY_PIN", "pin", PIN1) else "SIM PUK"
            if refused.code is Cme.SIM_NOT_INSERTED:
                raise
        return "READY"

    def enter(self, code: str, new: str | None = None) -> None:
        """Enter the PIN that is waited for, or what unblocks it and a new one."""
        waits = self.state()
        if new is not None:
            self._do("UNBLOCK_PIN", reference=PIN1, codes=_padded(code) + _padded(new))
        elif waits == "SIM PIN":
            self._do("VERIFY_PIN", reference=PIN1, pin=_padded(code))
        else:
            raise CmeError(Cme.SIM_PUK_REQUIRED if waits == "SIM PUK" else Cme.OPERATION_NOT_ALLOWED)

    def locked(self, facility: str) -> bool:
        """Whether a PIN is asked for (`SC`); PIN2 (`P2`) always is."""
        if _reference(facility) != PIN1:
            return True
        template = next((part for part in tlv.parse(self._files.directory()) if part.tag == _FCP), None)
        for part in tlv.parse(template.value) if template else []:
            if part.tag == _PIN_STATUS:
                bits = next((own.value for own in tlv.parse(part.value) if own.tag == _ENABLED), b"\0")
                return bool(bits[:1] > b"\x7f")
        raise CmeError(Cme.SIM_FAILURE)

    def lock(self, facility: str, *, on: bool, code: str) -> None:
        """Ask for a PIN from now on, or no longer."""
        reference, pin = _reference(facility), _padded(code)
        if on:
            self._do("ENABLE_PIN", reference=reference, pin=pin)
        else:
            self._do("DISABLE_PIN", replacement=_NO_REPLACEMENT, reference=reference, pin=pin)

    def change(self, facility: str, old: str, new: str) -> None:
        """Replace a PIN."""
        self._do("CHANGE_PIN", reference=_reference(facility), old=_padded(old), new=_padded(new))

    def counters(self) -> list[str]:
        """Tries that are left, and how many there are at most."""
        return [
            f"+CPINR: {name},{self._left(command, field, reference)},{_MOST[command]}"
            for name, command, field, reference in _COUNTERS
        ]

    def _left(self, command: str, field: str, reference: int) -> int:
        values: dict[str, int | bytes] = {"reference": reference, field: b""}
        sw = self._card.call(command, **values).sw
        return sw & 15 if sw & 0xFFF0 == 0x63C0 else 0

    def _do(self, name: str, **values: int | bytes) -> None:
        response = self._card.call(name, **values)
        if not response.ok:
            blocked = name == "UNBLOCK_PIN" and response.sw in {0x63C0, SW.AUTHENTICATION_METHOD_BLOCKED}
            raise CmeError(Cme.SIM_FAILURE if blocked else refusal(response.sw))


def _reference(facility: str) -> int:
    if facility.upper() not in _FACILITIES:
        raise CmeError(Cme.OPERATION_NOT_SUPPORTED)
    return _FACILITIES[facility.upper()]


def _padded(code: str) -> bytes:
    try:
        return padded(code)
    except ValueError:
        raise CmeError(Cme.INCORRECT_PARAMETERS) from None
