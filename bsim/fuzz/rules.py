"""What is known of a command before it is sent to a card that somebody needs again: what it types, what it never is."""

from typing import Final

from bsim.apdu import body
from bsim.applets.proactive import TerminalResponse
from bsim.lab.guard import declared
from bsim.lab.record import CIPHERTEXT
from bsim.spec import Command, Danger, spec
from bsim.sw import SwError

ANSWER: Final = spec().applets["uicc"].commands["TERMINAL_RESPONSE"]
ASKS: Final = frozenset({"TERMINAL_RESPONSE", "VERIFY_BPIN"})
"""What has the card ask for its BPIN, and what answers; no other command may spend a try."""
# Slots, files, assets and applications: what takes them away again is irreversible itself, or nothing does.
USES_UP: Final = frozenset({"DERIVE_KEY", "CREATE_FILE", "ADD_ASSET", "TRANSFER_ASSET", "GP_INSTALL"})
LEAST, MOST = 4, 261  # a header; a short APDU with all the data and Le there can be. ISO/IEC 7816-3 12.1.3


def never(command: Command) -> str:
    """Answer why a declared command is never sent to a card that somebody needs again; nothing if it may be."""
    if command.danger is Danger.IRREVERSIBLE:
        return "changes what nothing brings back"
    if command.name in USES_UP:
        return "uses up what no command gives back that may be sent"
    # A backup of the seed is as safe as its password, and the fuzzer's passwords are no secrets.
    told = any(one.secret or one.name in CIPHERTEXT for one in command.response)
    return "would have the card tell a secret" if told else ""


def performed(command: bytes) -> bool:
    """Whether a TERMINAL RESPONSE says that the terminal did as it was asked."""
    try:
        start, end, _ = body(command)
        return TerminalResponse.parse(command[start:end]).performed
    except SwError:
        return False


def typed_text(command: bytes) -> str | None:
    """What a TERMINAL RESPONSE types: no BPIN where it cannot be read, None where nothing is typed."""
    try:
        start, end, _ = body(command)
        return TerminalResponse.parse(command[start:end]).text
    except SwError:
        return "\0" if any(byte & 0x7F == 0x0D for byte in command[4:]) else None


def shown(command: bytes) -> str:
    """A command with what may be secret left out."""
    secret = len(command) < 4 or any(one.secret for entry in declared(command) for one in entry.data)
    return f"{command[:5].hex().upper()}{'..' if secret and len(command) > 5 else command[5:].hex().upper()}"
