"""The keys of used slots, derived once while the card is powered and wiped when power goes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from bsim.applets.wallet_state import WalletState
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.ecdsa import Engine, Signer
from bsim.crypto.memory import Secret

if TYPE_CHECKING:
    from bsim.crypto.derive import Node, Scheme


class Key:
    """A slot's key, ready to sign. `digest_length` is what it signs, in bytes; None for any."""

    __slots__ = ("coin_type", "digest_length", "sign", "wipe")

    def __init__(self, coin_type: int, digest_length: int | None, signer: Signer) -> None:
        self.coin_type: Final = coin_type
        self.digest_length: Final = digest_length
        self.sign: Final[Callable[[bytes], bytes]] = signer.sign
        self.wipe: Final[Callable[[], None]] = signer.wipe


class _Curve(NamedTuple):
    """What an algorithm does with a slot: how its keys are derived, named and made ready, and what they sign."""

    scheme: "Scheme"
    public_key: Callable[[Secret], bytes]
    signer: Callable[[Secret], Signer]
    digest_length: int | None


def _curve(algorithm: Algorithm, engine: Engine) -> _Curve:
    """What cards that derive a key import, and those with keys of other curves than the engine's import more."""
    from bsim.crypto.derive import Bip32, Slip10Ed25519  # noqa: PLC0415

    if algorithm is Algorithm.SECP256K1:
        return _Curve(Bip32(engine), engine.public_key, engine.signer, 32)
    from bsim.crypto import ed25519, p256, sm2  # noqa: PLC0415
    from bsim.crypto.slip10 import Slip10P256, Slip10Sm2  # noqa: PLC0415

    return {
        Algorithm.ED25519: _Curve(Slip10Ed25519(), ed25519.public_key, ed25519.signer, None),
        Algorithm.SM2: _Curve(Slip10Sm2(), sm2.public_key, sm2.signer, 32),
        Algorithm.P256: _Curve(Slip10P256(), p256.public_key, p256.signer, 32),
    }[algorithm]


class Keys:
    """Everything secret that is derived: a key for each slot used so far, and each coin's account node.

    All of it lies in buffers that `wipe` overwrites; nothing derived is ever written down. docs/security.md.
    """

    __slots__ = ("_accounts", "_curves", "_engine", "ready")

    def __init__(self, engine: Engine) -> None:
        self._engine: Final = engine
        self._curves: Final[dict[Algorithm, _Curve]] = {}
        self._accounts: dict[tuple[Algorithm, int], Node] = {}
        self.ready: dict[int, Key] = {}

    def derive(self, state: WalletState, number: int) -> Key | None:
        """Make the key of a slot (1-127) ready; None where there is no such slot."""
        if not 1 <= number <= len(state.slots):
            return None
        slot = state.slots[number - 1]
        with self._node(state.seed, slot.coin_type, number, slot.algorithm) as node:
            curve = self._curve(slot.algorithm)
            key = Key(slot.coin_type, curve.digest_length, curve.signer(node.secret))
        self.ready[number] = key
        return key

    def sign(self, state: WalletState, number: int, digest: bytes) -> bytes:
        """Sign 32 bytes with the key of a slot there is: DER."""
        key = self.ready.get(number) or self.derive(state, number)
        if key is None:
            raise ValueError("no such slot")
        return key.sign(digest)

    def public_key(self, seed: bytes, coin_type: int, number: int, algorithm: Algorithm) -> bytes:
        """Answer the public key a slot (1-127) has: 65 bytes, or 32 for Ed25519."""
        with self._node(seed, coin_type, number, algorithm) as node:
            return self._curve(algorithm).public_key(node.secret)

    def wipe(self) -> None:
        """Overwrite what lies in buffers of ours and forget the rest."""
        for key in self.ready.values():
            key.wipe()
        for account in self._accounts.values():
            account.wipe()
        self.ready.clear()
        self._accounts.clear()

    def __del__(self) -> None:
        # A card that is dropped with its power on leaves no keys behind either.
        self.wipe()

    def _curve(self, algorithm: Algorithm) -> _Curve:
        if algorithm not in self._curves:
            self._curves[algorithm] = _curve(algorithm, self._engine)
        return self._curves[algorithm]

    def _node(self, seed: bytes, coin_type: int, number: int, algorithm: Algorithm) -> "Node":
        """Derive a slot's node, for the caller to wipe; the account above it is kept for the coin's next slot."""
        scheme = self._curve(algorithm).scheme
        *path, index = scheme.account_path(coin_type, number)
        account = self._accounts.get((algorithm, coin_type))
        if account is None:
            account = self._accounts[algorithm, coin_type] = scheme.derive(seed, path)
        return scheme.child(account, index)
