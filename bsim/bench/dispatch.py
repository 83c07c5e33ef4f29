"""What a command costs that computes nothing, as a part of one signature."""

from typing import Final

from bsim.bench.cards import GET_VERSION, GET_VERSION_T0, VERIFY, powered, sign_commands
from bsim.bench.runner import Contestant, Loop, Plan, Result, interleave
from bsim.card import T0
from bsim.spec import spec

_SIGNATURE: Final = "transmit(SIGN)"


def unknown_instruction() -> bytes:
    """A command of the wallet's class whose INS nobody declares."""
    taken = {command.ins for applet in spec().applets.values() for command in applet.commands.values()}
    return bytes((0x80, min(set(range(0x02, 0x60, 2)) - taken), 0, 0, 0))


def bench(plan: Plan) -> Result:
    """GET VERSION, VERIFY BPIN of a verified card, and a refusal."""
    result = Result("dispatch", "one command without cryptography", _SIGNATURE, plan.rounds)
    card = powered(engine=plan.engine)
    commands = {"GET VERSION": GET_VERSION, "VERIFY BPIN, verified": VERIFY, "unknown INS": unknown_instruction()}
    contestants: dict[str, Contestant] = {_SIGNATURE: Loop(plan, card.bare.transmit, sign_commands())}
    contestants |= {name: Loop(plan, card.bare.transmit, (command,)) for name, command in commands.items()}
    contestants["GET VERSION, in a phone"] = Loop(plan, card.phone.transmit, (GET_VERSION,))
    contestants["GET VERSION, T=0"] = Loop(plan, T0(card.bare).transmit, (GET_VERSION_T0,))
    samples = interleave(contestants, plan)
    result.add(samples)
    for name in commands:
        result.at_most(samples, name, _SIGNATURE, 0.03)
    return result
