"""Whether status words and data are those the declaration allows."""

from bsim import tlv
from bsim.apdu import body
from bsim.fuzz.grammar import Entry, ended_well
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.rig import Rig
from bsim.spec import Kind
from bsim.sw import SW, SwError

_MAY_CARRY_DATA = frozenset({0x61, 0x62, 0x63, 0x90, 0x91, 0x9F})
_MORE = 0x61


def sw_conformance(rig: Rig) -> Hit | None:  # noqa: PLR0911 - a list of rules
    """A status word the command does not declare, or success where the bytes break the declaration."""
    entry, sw = rig.entry, rig.sw
    if len(rig.response) < 2 or sw == SW.NO_PRECISE_DIAGNOSIS:
        return None
    if not rig.inside and rig.grammar.allowed_somewhere(rig.raw, sw):
        return None  # what is selected on a card that cannot be looked into is a guess
    if entry is None:
        if rig.grammar.common(sw):
            return None
        return Hit("sw-conformance", f"no command {sw:04X}", f"{sw:04X} to bytes that are no command here")
    if not entry.allows(sw):
        return Hit("sw-conformance", f"{entry.name} {sw:04X}", f"{entry.name} answered {sw:04X}, which is not declared")
    whole = rig.whole
    if whole is None and ended_well(sw) and not _is_apdu(rig.raw):
        return Hit("sw-conformance", "what is malformed, in a chain", f"{entry.name} answered {sw:04X} to no APDU")
    if whole is not None and ended_well(sw) and not entry.fits(whole):
        return Hit(
            "sw-conformance",
            # Where chains are taken the rest of one is the likely cause, whatever command it was of.
            "what is malformed, as a chain's end"
            if entry.command.chaining
            else f"{entry.name} takes what is malformed",
            f"{entry.name} answered {sw:04X} to parameters, a length or values that are not declared",
        )
    return None


def response_schema(rig: Rig) -> Hit | None:  # noqa: PLR0911 - a list of rules
    """Data that are not as declared, data with a refusal, or more than Le asked for."""
    data, entry, sw = rig.data, rig.entry, rig.sw
    if rig.secured is not None and rig.forged:
        return Hit("response-schema", "forged", "an answer whose MAC or padding is not what its secure channel makes")
    if not data:
        if entry is None or not entry.least or sw != SW.OK or rig.whole is None:
            return None
        return Hit("response-schema", f"{entry.name} length", f"{entry.name} answered no data with 9000")
    if not rig.inside and entry is None:
        return None
    name = entry.name if entry is not None else "no command"
    if sw >> 8 not in _MAY_CARRY_DATA:
        return Hit("response-schema", f"{name} data with a refusal", f"{name} answered data with {sw:04X}")
    if entry is None:
        return Hit("response-schema", "no command data", "data to bytes that are no command here")
    return _form(rig, entry)


def _form(rig: Rig, entry: Entry) -> Hit | None:
    """Data of another length or form than the declaration's."""
    name, data = entry.name, rig.data
    # Over T=0 a part may come with 61xx, and the rest of it with GET RESPONSE.
    in_part = rig.over_t0 and rig.sw >> 8 == _MORE
    least = 1 if in_part else entry.least
    if not least <= len(data) <= entry.most:
        wanted = f"{least} to {entry.most}"
        return Hit("response-schema", f"{name} length", f"{name} answered {len(data)} bytes, not {wanted}")
    wanted_most = _le(rig.raw) if rig.inside else None  # what a reader's own T=0 does with Le is not the card's
    if wanted_most is not None and len(data) > wanted_most:
        return Hit("response-schema", f"{name} Le", f"{name} answered {len(data)} bytes where Le was {wanted_most}")
    if in_part:
        return None
    if entry.command.response[0].kind is Kind.TLV or entry.command.response[0].name == "template":
        try:
            tlv.parse(data)
        except tlv.TlvError as fault:
            return Hit("response-schema", f"{name} TLV", f"{name} answered malformed data objects: {fault}")
    return None


def _is_apdu(raw: bytes) -> bool:
    try:
        body(raw)
    except SwError:
        return False
    return True


def _le(raw: bytes) -> int | None:
    size = len(raw)
    if size == 5:
        return raw[4] or 256
    if size > 6 and size == 5 + raw[4]:
        return None
    try:
        return body(raw)[2]
    except SwError:
        return None
