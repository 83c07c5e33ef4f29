"""The wallet's side: every command of the card as a typed call, on any card. Encoded and decoded by the declaration."""

from collections.abc import Iterable
from typing import Final

from bsim.client.assets import AssetCalls
from bsim.crypto.algorithm import Algorithm
from bsim.spec import spec

_ISSUER: Final = spec().applets["issuer"]
_MOST_SEGMENTS: Final = 64  # the wallet app gives up after so many


class Wallet(AssetCalls):
    """A wallet app's view of a card. Selects the wallet applet on the basic channel; CardError for every refusal."""

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
