"""What one Keccak-256 costs, in the library bsim hashes with and in others."""

from hashlib import sha3_256
from typing import Final

from bsim.bench import peers
from bsim.bench.cards import DIGESTS
from bsim.bench.runner import Loop, Plan, Result, interleave
from bsim.crypto.keccak import keccak256

_FLOOR: Final = "hashlib's sha3_256"


def bench(plan: Plan) -> Result:
    """The floor is the same permutation with another padding, in CPython's own C."""
    result = Result("keccak", "one Keccak-256 of 32 bytes", _FLOOR, plan.rounds)
    ours = {
        _FLOOR: Loop(plan, lambda data: sha3_256(data).digest(), DIGESTS),
        "bsim": Loop(plan, keccak256, DIGESTS),
    }
    with peers.at_work(peers.KECCAK, plan, result.missing) as others:
        result.add(interleave(ours | others, plan), others)
    return result
