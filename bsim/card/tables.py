"""Which handlers serve which commands: a table for each declaration, imported when the first of its commands comes.

Who starts a card needs few of them, and most cards are never asked for most of their commands.
"""

# ruff: noqa: PLC0415 - late imports are what this file is for

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from bsim.applets.routes import LateTable, Table
from bsim.spec import Command, spec


def _declared(applet: str, extension: str = "") -> Mapping[str, Command]:
    return spec().applets[applet].declared_by(extension)


@cache
def _wallet() -> tuple[Table, Table]:
    from bsim.applets.wallet import COMMANDS, TERMINATED

    return COMMANDS, TERMINATED


@cache
def _signing() -> tuple[Table, Table]:
    from bsim.applets.signing import COMMANDS, TERMINATED

    return COMMANDS, TERMINATED


@cache
def _collectibles() -> tuple[Table, Table]:
    from bsim.applets.collectibles import COMMANDS, TERMINATED

    return COMMANDS, TERMINATED


@cache
def _wallet_channel() -> tuple[Table, Table]:
    from bsim.applets.wallet_channel import COMMANDS, TERMINATED

    return COMMANDS, TERMINATED


@cache
def _globalplatform() -> Table:
    from bsim.applets.globalplatform import COMMANDS

    return COMMANDS


@cache
def _usim() -> Table:
    # The handlers of these modules are all that applet_spec/usim.toml declares.
    from bsim.applets import file_admin, files, network, pin_commands  # noqa: F401
    from bsim.applets.usim import usim

    return usim.compile()


@cache
def _gsm() -> Table:
    from bsim.applets.gsm import COMMANDS

    return COMMANDS


def _sides(extension: str, load: Callable[[], tuple[Table, Table]]) -> tuple[LateTable, LateTable]:
    """What a wallet answers of a declaration: in use, and terminated."""
    declared = _declared("wallet", extension)
    return LateTable(declared, lambda: load()[0]), LateTable(declared, lambda: load()[1])


WALLET: Final = _sides("", _wallet)
SIGNING: Final = _sides("signing", _signing)
COLLECTIBLES: Final = _sides("collectibles", _collectibles)
WALLET_CHANNEL: Final = _sides("wallet_channel", _wallet_channel)
GLOBALPLATFORM: Final = LateTable(_declared("issuer", "globalplatform"), _globalplatform)
USIM: Final = LateTable(_declared("usim"), _usim)
GSM: Final = LateTable(_declared("gsm"), _gsm)
