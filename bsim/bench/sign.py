"""What one signature costs: through a card, through the bare library, and through other libraries.

The floor is the two calls of libsecp256k1 that no caller can spare, in this process: sign, and write the DER. It leaves
the DER where libsecp256k1 wrote it and makes no bytes of it. A card may be below the floor: where the C extension is
used, it spares the way through cffi and hands libsecp256k1 a faster nonce.
"""

from collections.abc import Callable
from typing import Any, Final

from bsim.bench import peers
from bsim.bench.cards import COIN_TYPE, DIGESTS, powered, sign_commands
from bsim.bench.runner import BenchError, Contestant, Loop, Plan, Result, interleave
from bsim.client import Wallet
from bsim.crypto.ecdsa import NAMES, engine

FLOOR: Final = "bare libsecp256k1"
OURS: Final = "transmit(SIGN)"
IN_PHONE: Final = "transmit(SIGN), in a phone"
PLAIN: Final = "transmit(SIGN), no C extension"
_DER_LENGTH: Final = 72


def bare() -> Callable[[bytes], object]:
    """Answer libsecp256k1's own work, through coincurve's `lib`; BenchError where coincurve is not installed."""
    try:
        from coincurve._libsecp256k1 import ffi, lib  # noqa: PLC0415 - has no wheel everywhere
        from coincurve.context import GLOBAL_CONTEXT  # noqa: PLC0415
    except ImportError:
        raise BenchError("the floor is coincurve's libsecp256k1, which is not installed") from None
    context: Any = GLOBAL_CONTEXT.ctx
    signature, der, length = (
        ffi.new(kind) for kind in ("secp256k1_ecdsa_signature *", "unsigned char[72]", "size_t *")
    )
    key, null = ffi.new("unsigned char[32]", peers.SECRET), ffi.NULL
    ecdsa_sign, serialize = lib.secp256k1_ecdsa_sign, lib.secp256k1_ecdsa_signature_serialize_der

    def call(digest: bytes) -> object:
        ecdsa_sign(context, signature, digest, key, null, null)
        length[0] = _DER_LENGTH
        return serialize(context, der, length, signature)

    return call


def bench(plan: Plan) -> Result:
    """Sign through every engine and every peer there is."""
    result = Result("sign", "one signature of a 32-byte hash", FLOOR, plan.rounds)
    contestants: dict[str, Contestant] = {FLOOR: Loop(plan, bare(), DIGESTS)}
    card = powered(engine=plan.engine or "coincurve")
    commands = sign_commands()
    contestants[OURS] = Loop(plan, card.bare.transmit, commands)
    contestants[IN_PHONE] = Loop(plan, card.phone.transmit, commands)
    if plan.engine in {None, "coincurve"}:
        contestants[PLAIN] = Loop(plan, powered(engine="coincurve", native=False).bare.transmit, commands)
    wallet = Wallet(card.phone)
    contestants["Wallet.sign"] = Loop(plan, lambda digest: wallet.sign(COIN_TYPE, 1, digest), DIGESTS)
    for name in NAMES if plan.engine is None else ():
        try:
            signer = engine(name).signer(peers.SECRET)
            if name != "coincurve":
                other = powered(engine=name).bare
                contestants[f"{OURS}, engine {name}"] = Loop(plan, other.transmit, commands)
        except ImportError as fault:
            result.missing[f"engine {name}"] = str(fault)
        else:
            contestants[f"engine {name} alone"] = Loop(plan, signer.sign, DIGESTS)
    with peers.at_work(peers.SIGN, plan, result.missing) as others:
        samples = interleave(contestants | others, plan)
    result.add(samples, others)
    result.at_most(samples, OURS, FLOOR, 1.08)
    if PLAIN in samples:
        result.at_most(samples, PLAIN, FLOOR, 1.08)
    if "wallycore" in others:
        result.at_most(samples, OURS, "wallycore", 1.1)
    for peer in ("SoftHSM2", "eth-account, hash", "eth-account, transaction", "ethers"):
        if peer in others:
            result.at_least(samples, peer, OURS, 5)
    return result
