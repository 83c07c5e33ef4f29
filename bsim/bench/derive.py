"""What making keys costs, and how it grows with the slots that are used."""

from typing import Final

from bsim.bench import peers
from bsim.bench.cards import DERIVE, EXPORT, EXPORT_NEXT, PATH, Bench, must, powered, sign_commands, stored
from bsim.bench.runner import Contestant, Fresh, Loop, Plan, Result, interleave
from bsim.card import Uicc
from bsim.crypto.derive import HARDENED, Bip32
from bsim.crypto.ecdsa import engine
from bsim.store import RamStore
from bsim.sw import OK, SW

_SIGNATURE: Final = "transmit(SIGN)"
_FIRST_SIGN: Final = "first SIGN after power-on, slot 1"
_FIVE_STEPS: Final = "five BIP-32 steps"
FEW, MANY = 1, 127


def bench(plan: Plan) -> Result:
    """Derive, by the module and by the card; and the commands on cards with 1 and with 127 slots."""
    result = Result("derive", "keys", _SIGNATURE, plan.rounds)
    card, commands = powered(engine=plan.engine), sign_commands()
    contestants: dict[str, Contestant] = {
        _SIGNATURE: Loop(plan, card.bare.transmit, commands),
        "power-on, SELECT, VERIFY, SIGN": Loop(plan, lambda command: must(card.power_on(), command), commands),
        **_steps(plan),
    }
    for slots in (FEW, MANY):
        contestants |= _with_slots(plan, slots)
    with peers.at_work(peers.DERIVE, plan, result.missing) as others:
        samples = interleave(contestants | others, plan)
    result.add(samples, others)
    result.at_most(samples, _FIRST_SIGN, _SIGNATURE, 6)
    return result


def _steps(plan: Plan) -> dict[str, Contestant]:
    scheme = Bip32(engine(plan.engine))
    node = scheme.derive(peers.SEED, PATH)
    return {
        "BIP-32 step, hardened": Loop(plan, lambda index: scheme.child(node, index), range(HARDENED, HARDENED + 64)),
        "BIP-32 step, normal": Loop(plan, lambda index: scheme.child(node, index), range(64)),
        _FIVE_STEPS: Loop(plan, lambda path: scheme.derive(peers.SEED, path), (PATH,)),
    }


def _with_slots(plan: Plan, slots: int) -> dict[str, Contestant]:
    """What the commands cost on a card whose last slot is this one."""
    full, commands = powered(slots, plan.engine), sign_commands(slots)
    records = stored(slots - 1).read()

    def one_slot_short() -> Uicc:
        return powered(engine=plan.engine, store=RamStore(records)).bare

    return {
        f"SIGN, slot {slots} of {slots}": Loop(plan, full.bare.transmit, commands),
        f"first SIGN after power-on, slot {slots}": Fresh(plan, full.power_on, lambda card: must(card, commands[0])),
        f"DERIVE KEY, slot {slots}": Fresh(plan, one_slot_short, lambda card: must(card, DERIVE)),
        f"EXPORT PUBKEYS, {slots}": Loop(plan, export, (full,)),
    }


def export(card: Bench) -> bytes:
    """The whole stream of EXPORT PUBKEYS."""
    response = card.bare.transmit(EXPORT)
    stream = response[:-2]
    while response[-2:] == SW.MORE_DATA.encoded:
        response = card.bare.transmit(EXPORT_NEXT)
        stream += response[:-2]
    if response[-2:] != OK:
        raise RuntimeError(f"EXPORT PUBKEYS was answered with {response[-2:].hex()}")
    return stream
