"""Ways to a command that differ from where its example is sent: another channel, no terminal, no tries left."""

from collections.abc import Callable
from typing import Final

from bsim.apdu import CLAS
from bsim.fuzz.generate import PROOFS
from bsim.fuzz.grammar import Entry, on_channel
from bsim.fuzz.lead import Lead
from bsim.fuzz.steps import OPENS, SECURES, send
from bsim.fuzz.terminal import WITH_MENU

_OTHER: Final = 3
_TRIES: Final = 12  # more than any PIN has
Way = Callable[[Lead, Entry, bytes], bool]
"""Goes a way; answers whether there is one."""


def _on_another_channel(lead: Lead, entry: Entry, raw: bytes) -> bool:
    """All that was granted before is left behind on the first."""
    _open(lead)
    for select in _selecting(lead, entry):
        lead.send(_moved(select))
    lead.send(_moved(raw))
    return True


def _after_a_reset(lead: Lead, entry: Entry, raw: bytes) -> bool:
    """Nothing is granted, and there is no terminal."""
    lead.reset()
    for select in _selecting(lead, entry):
        lead.send(select)
    lead.send(raw)
    return True


def _in_a_chain_that_is_broken(lead: Lead, entry: Entry, raw: bytes) -> bool:
    """Two parts of a short APDU, and a command between them that ends the chain."""
    if not entry.command.chaining or raw[4] < 2:
        return False
    half = raw[4] // 2
    lead.send(bytes((raw[0] | 0x10,)) + raw[1:4] + bytes((half,)) + raw[5 : 5 + half])
    lead.send(lead.grammar.by_name["STATUS"].examples[0])
    lead.send(raw[:4] + bytes((raw[4] - half,)) + raw[5 + half : 5 + raw[4]])
    return True


def _while_the_user_is_asked(lead: Lead, _entry: Entry, raw: bytes) -> bool:
    """A dialogue that another channel has begun is open."""
    asks = next(one for one in lead.grammar.entries if one.dialogue and one.makes)
    _open(lead)
    for select in _selecting(lead, asks):
        lead.send(_moved(select))
    lead.alone(_moved(asks.examples[0]))
    lead.alone(raw)
    return True


def _while_the_menu_is_set_up(lead: Lead, entry: Entry, raw: bytes) -> bool:
    """The terminal has fetched the menu, and not said yet what became of it: a dialogue has to wait."""
    if not entry.dialogue:
        return False
    lead.step(lead.terminal.profile(WITH_MENU))
    lead.step(lead.terminal.fetch())
    lead.send(raw)
    return True


def _as_often_as_there_are_tries(lead: Lead, entry: Entry, raw: bytes) -> bool:
    """With a wrong secret until it is blocked, then with the right one."""
    if not entry.spends_tries or not entry.command.data or not entry.command.data[0].secret or len(raw) < 6:
        return False
    for _ in range(_TRIES):
        lead.send(raw[:5] + bytes((raw[5] ^ 1,)) + raw[6:])
    lead.send(raw)
    return True


def _in_a_secure_channel(lead: Lead, entry: Entry, raw: bytes) -> bool:
    """Secured as much as there is, commands and answers."""
    openers = (one for one in lead.grammar.entries if one.applet == entry.applet and PROOFS.get(one.name) == OPENS)
    opener = next(openers, None)
    if opener is None:
        return False
    opens = next(one for one in opener.command.examples if one.sw == "9000")
    begins = lead.grammar.by_name[opens.given[-1].partition(".")[0]]
    lead.send(begins.examples[-1])
    lead.step(send(opens.command[:2] + bytes((max(opener.command.p1.legal),)) + opens.command[3:], OPENS))
    lead.step(send(raw, SECURES))
    return True


WAYS: Final[tuple[Way, ...]] = (
    _on_another_channel,
    _after_a_reset,
    _in_a_chain_that_is_broken,
    _while_the_user_is_asked,
    _while_the_menu_is_set_up,
    _as_often_as_there_are_tries,
    _in_a_secure_channel,
)


def _open(lead: Lead) -> None:
    channel = lead.grammar.by_name["MANAGE_CHANNEL"].command
    lead.send(bytes((channel.cla[0], channel.ins, 0, _OTHER)))


def _selecting(lead: Lead, entry: Entry) -> list[bytes]:
    """The command that selects the application whose a command is; none for the card's own."""
    head, aids = lead.grammar.by_name["SELECT"].command, lead.grammar.spec.applets[entry.applet].aids
    return [bytes((head.cla[0], head.ins, 4, 12, len(aids[0]))) + aids[0]] if aids else []


def _moved(raw: bytes) -> bytes:
    """The same command on another channel."""
    cla = CLAS[raw[0]]
    return bytes((on_channel(cla.base, _OTHER) | 0x10 * cla.chaining,)) + raw[1:]
