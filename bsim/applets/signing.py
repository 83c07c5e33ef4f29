"""What this project adds to the wallet applet: one handler a command of applet_spec/signing.toml."""

from typing import Final

from bsim import tlv
from bsim.applets.bpin import Dialogue
from bsim.applets.wallet import wallet
from bsim.applets.wallet_session import WalletSession
from bsim.crypto.algorithm import Algorithm

VERSION: Final = b"\x00\x01"
_ALGORITHMS: Final = 0x80
_FAMILIES: Final = 0x81
_STATUS: Final = {field.name: field.values for field in wallet.spec.commands["GET_STATUS"].response}


@wallet.handles("GET_STATUS")
def get_status(ctx: WalletSession) -> bytes:
    """Everything an app would otherwise find out by being refused."""
    state = ctx.state
    head = (_STATUS["life_cycle"][state.life_cycle.upper()], state.tries, state.has_seed, len(state.slots))
    return bytes(head) + state.version + VERSION + bytes((ctx.verified, _dialogue(ctx))) + _capabilities()


def _dialogue(ctx: WalletSession) -> int:
    names = {Dialogue.VERIFY: "VERIFY_BPIN", Dialogue.UPDATE: "UPDATE_BPIN"}
    otherwise = "OTHER" if ctx.card.toolkit.busy else "NONE"
    return _STATUS["dialogue"][names[ctx.dialogue] if ctx.dialogue else otherwise]


def _capabilities() -> bytes:
    return tlv.encode(_ALGORITHMS, bytes(Algorithm)) + tlv.encode(_FAMILIES, b"")


COMMANDS: Final = wallet.compile("signing")
TERMINATED: Final = wallet.refused_in("terminated", "signing")
