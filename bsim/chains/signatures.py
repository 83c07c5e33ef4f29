"""What chains and verifiers of recoverable signatures over secp256k1 take."""

from bsim.chains.family import Signature
from bsim.crypto.ecdsa import ORDER


def recoverable(signature: Signature) -> tuple[int, int, int]:
    """Answer r, s and the parity of the nonce point's y; ValueError for what a chain does not take.

    EIP-2: s is in the lower half. Recovery ids 2 and 3 have no encoding.
    """
    r, s, recovery_id = signature
    if not (0 < r < ORDER and 0 < s <= ORDER // 2) or recovery_id is None or recovery_id not in (0, 1):
        raise ValueError("r, s or the recovery id is not what a chain takes")
    return r, s, recovery_id
