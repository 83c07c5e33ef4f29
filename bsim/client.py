"""The wallet's side: every command of the card as a typed call, on any card. Encoded and decoded by the declaration."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from struct import unpack_from
from typing import Final

from bsim import tlv
from bsim.apdu import ResponseApdu
from bsim.chains import address, coin_name
from bsim.crypto.algorithm import Algorithm
from bsim.ports import Card
from bsim.spec import Command, encode, spec
from bsim.sw import SW, describe

_ISSUER: Final = spec().applets["issuer"]
_UICC: Final = spec().applets["uicc"]
_WALLET: Final = spec().applets["wallet"]
_PUBLIC_KEY_TAG: Final = 0xC2
_HEAD: Final = 6  # coin type (4), slot, algorithm
_UNCOMPRESSED: Final = 0x04
_DEFAULT_WAIT: Final = 30.0
# The wallet app gives up after so many segments, and asks once a second while the user types.
_MOST_SEGMENTS: Final = 64
_PAUSE: Final = 1.0


class CardError(Exception):
    """The card refused a command; `sw` is its status word."""

    def __init__(self, command: str, sw: int) -> None:
        super().__init__(f"{command}: the card answered {sw:04X} ({describe(sw)})")
        self.command = command
        self.sw = sw


@dataclass(frozen=True, slots=True)
class Account:
    """A key in a slot (1-127) of the card: 65 bytes of an uncompressed point, or 32 of an Ed25519 key."""

    slot: int
    coin_type: int
    algorithm: Algorithm
    public_key: bytes

    @property
    def coin(self) -> str:
        """The coin's name, or its SLIP-0044 number."""
        return coin_name(self.coin_type)

    @property
    def address(self) -> str | None:
        """The address in the chain's own text form; None where bsim does not know the chain."""
        return address(self.coin_type, self.algorithm, self.public_key)


class Wallet:
    """A wallet app's view of a card. Selects the wallet applet on the basic channel; CardError for every refusal."""

    def __init__(self, card: Card, *, wait: float = _DEFAULT_WAIT, sleep: Callable[[float], None] = time.sleep) -> None:
        self.card: Final = card
        self._wait: Final = wait
        self._sleep: Final = sleep
        self.select()

    def select(self) -> None:
        """Select the wallet applet."""
        self._select(_WALLET.aids[0])

    def version(self) -> bytes:
        """Answer the applet's version, 2 bytes."""
        return self.call("GET_VERSION")

    def iccid(self) -> str:
        """Answer the ICCID, 19 or 20 digits, from the issuer domain; the wallet applet is selected again after it."""
        self._select(_ISSUER.aids[0])
        try:
            answer = self._send(_ISSUER.commands["GET_ICCID"], tag=0x11)
        finally:
            self.select()
        return "".join(f"{byte & 15:X}{byte >> 4:X}" for byte in answer[2:]).rstrip("F")

    def set_bpin(self, bpin: str) -> None:
        """Replace the BPIN the card was shipped with (six digits)."""
        self.call("SET_BPIN", bpin=bpin.encode())

    def generate_seed(self) -> None:
        """Have a blank card make its seed."""
        self.call("GENERATE_SEED")

    def challenge(self) -> bytes:
        """Answer 16 random bytes for `open`."""
        return self.call("GET_CHALLENGE")

    def open(self, cryptogram: bytes) -> None:
        """Card opening: the AES-CMAC (16 bytes) of the challenge under the opening key."""
        self.call("EXTERNAL_AUTHENTICATE", cryptogram=cryptogram)

    def write_session_key(self, key: bytes) -> None:
        """Hand over a session key (1-255 bytes) after `open`."""
        self.call("WRITE_SESSION_KEY", key=key)

    def verify_bpin(self) -> None:
        """Have the card ask its user for the BPIN; answers before the user has typed."""
        self.call("VERIFY_BPIN")

    def update_bpin(self) -> None:
        """Have the card ask its user for the old and the new BPIN; answers before the user has typed."""
        self.call("UPDATE_BPIN")

    def derive(self, coin_type: int, algorithm: Algorithm = Algorithm.SECP256K1) -> Account:
        """Make the key of the next free slot, and answer it."""
        self.call("DERIVE_KEY", coin_type=coin_type, algorithm=algorithm)
        return self.accounts()[-1]

    def accounts(self) -> list[Account]:
        """Answer the keys of all slots, in their order."""
        return [_account(part) for part in tlv.parse(self.stream("EXPORT_PUBKEYS", most=_MOST_SEGMENTS))]

    def sign(self, coin_type: int, slot: int, digest: bytes) -> bytes:
        """Sign with a slot's key, waiting while the user types the BPIN: DER, or 64 bytes of an Ed25519 slot.

        `digest` has 32 bytes; an Ed25519 slot signs any 0-250 bytes as they are.
        """
        return self._patiently("SIGN", coin_type=coin_type, slot=slot, digest=digest)

    def backup(self, key2: bytes) -> bytes:
        """Answer the seed encrypted under a password (1-255 bytes), waiting while the user types the BPIN."""
        return self._patiently("EXPORT_SEED", key2=key2)

    def restore(self, key2: bytes, ciphertext: bytes, runs: Iterable[tuple[int, Algorithm]] = ()) -> None:
        """Replace the seed by a backup and derive the same slots again: coin type and algorithm of each, in order."""
        self.call("RESTORE_SEED", key2=key2, ciphertext=ciphertext)
        for coin_type, algorithm in runs:
            self.call("DERIVE_KEY", coin_type=coin_type, algorithm=algorithm)

    def call(self, name: str, **values: int | bytes) -> bytes:
        """Send a command of the wallet applet by the names of its declaration; answers the response data."""
        return self._send(_WALLET.commands[name], **values)

    def segment(self, name: str, **values: int | bytes) -> tuple[bytes, bool]:
        """Send a command that answers in segments; answers this one, and whether more follow."""
        command = _WALLET.commands[name]
        response = self._exchange(command, **values)
        if not response.ok and response.sw != SW.MORE_DATA:
            raise CardError(command.name, response.sw)
        return response.data, response.sw == SW.MORE_DATA

    def stream(self, name: str, *, most: int, **values: int | bytes) -> bytes:
        """Read all segments of a command that has a `part` in P2, as far as `most`; later ones take no data."""
        segments = []
        nothing: dict[str, int | bytes] = {field.name: b"" for field in _WALLET.commands[name].data}
        asked = {**values, "part": 0}
        for _ in range(most + 1):
            segment, more = self.segment(name, **asked)
            segments.append(segment)
            if not more:
                break
            asked = {**asked, **nothing, "part": 1}
        return b"".join(segments)

    def _patiently(self, name: str, **values: int | bytes) -> bytes:
        waited = 0.0
        while True:
            try:
                return self.call(name, **values)
            except CardError as refusal:
                if refusal.sw != SW.SECURITY_STATUS_NOT_SATISFIED or waited >= self._wait:
                    raise
            self._sleep(_PAUSE)
            waited += _PAUSE

    def _select(self, aid: bytes) -> None:
        select = _UICC.commands["SELECT"]
        self._send(select, method=select.p1.values["DF_NAME"], control=0, identifier=aid)

    def _send(self, command: Command, **values: int | bytes) -> bytes:
        response = self._exchange(command, **values)
        if not response.ok:
            raise CardError(command.name, response.sw)
        return response.data

    def _exchange(self, command: Command, **values: int | bytes) -> ResponseApdu:
        return ResponseApdu.parse(self.card.transmit(encode(command, values).encode()))


def _account(part: tlv.Tlv) -> Account:
    if part.tag != _PUBLIC_KEY_TAG or len(part.value) <= _HEAD:
        raise tlv.TlvError("a public key is a C2 data object")
    coin_type, slot, algorithm = unpack_from(">IBB", part.value)
    if algorithm not in set(Algorithm):
        raise tlv.TlvError(f"slot {slot} has an algorithm not known here: {algorithm:02X}")
    key = part.value[_HEAD:]
    if key[0] == len(key) - 1 and key[0] != _UNCOMPRESSED:
        key = key[1:]  # with its length before it
    return Account(slot, coin_type, Algorithm(algorithm), key)
