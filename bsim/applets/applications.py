"""Content management: which applications there are, and what becomes of them.

GlobalPlatform Card Specification 2.3.1, 11.2, 11.4, 11.5, 11.10.
"""

from collections.abc import Iterator
from dataclasses import replace
from enum import IntEnum
from typing import Final

from bsim import tlv
from bsim.applets.installed import LOCKED, STEPS, Application, ApplicationState, CardState
from bsim.applets.issuer import IssuerSession, issuer
from bsim.sw import SW, SwError
from bsim.tlv import TlvError

_ENTRY: Final = 0xE3
_AID: Final = 0x4F
_STATE: Final = 0x9F70
_PRIVILEGES: Final = 0xC5
_LOAD_FILE: Final = 0xC4
_DOMAIN: Final = 0xCC
_MODULE: Final = 0x84
_TAGS: Final = 0x5C
# Security domain, card lock and terminate, reset, CVM management ... : an issuer domain has them all. Tables 6-1, 11-7.
_ISSUER_PRIVILEGES: Final = bytes.fromhex("9EFE80")
_LOADED: Final = 0x01
_CONFIRMATION: Final = b"\0"  # no confirmation follows: it would be a receipt. 11.2.3.1
Entry = list[tuple[int, bytes]]


class What(IntEnum):
    """Which part of the registry GET STATUS is asked for."""

    ISSUER_DOMAIN = 0x80
    APPLICATIONS = 0x40
    LOAD_FILES = 0x20
    LOAD_FILES_AND_MODULES = 0x10


class Occurrence(IntEnum):
    """Which entries; both in the tagged form."""

    FIRST = 0x02
    NEXT = 0x03


class Subject(IntEnum):
    """Whose state SET STATUS sets."""

    ISSUER_DOMAIN = 0x80
    APPLICATION = 0x40


class Purpose(IntEnum):
    """What INSTALL is for."""

    INSTALL = 0x04
    MAKE_SELECTABLE = 0x08
    INSTALL_AND_MAKE_SELECTABLE = 0x0C


class Scope(IntEnum):
    """What DELETE takes with it."""

    OBJECT = 0x00
    RELATED = 0x80


@issuer.handles("GP_GET_STATUS")
def get_status(ctx: IssuerSession, what: What, occurrence: Occurrence, criteria: bytes) -> bytes:
    """The entries of one part of the registry whose AIDs begin as asked."""
    aid, tags = _criteria(criteria)
    found = [entry for entry in _entries(ctx, what) if entry[0][1].startswith(aid)]
    if not found or occurrence is Occurrence.NEXT:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such entry")
    return b"".join(_encoded(entry, tags) for entry in found)


def _criteria(data: bytes) -> tuple[bytes, frozenset[int]]:
    """The AID, or the start of one, and the tags wanted: none for all. 11.4.2.3."""
    objects = tlv.parse(data)
    if not objects or objects[0].tag != _AID or len(objects) > 2 or len(objects[0].value) > 16:
        raise TlvError("criteria begin with an AID")
    if len(objects) == 1:
        return objects[0].value, frozenset()
    if objects[1].tag != _TAGS:
        raise TlvError("after the AID come the tags wanted")
    return objects[0].value, frozenset(_tags(objects[1].value))


def _tags(encoded: bytes) -> Iterator[int]:
    """Read a tag list: one byte a tag, two where the first says so. ISO/IEC 7816-4 8.2.1."""
    rest = iter(encoded)
    for first in rest:
        yield first if first & 0x1F != 0x1F else first << 8 | next(rest, 0)


def _entries(ctx: IssuerSession, what: What) -> Iterator[Entry]:
    state, domain = ctx.cell.value, ctx.domain
    own = domain.aids[0]
    if what is What.ISSUER_DOMAIN:
        yield [(_AID, own), (_STATE, bytes((state.card_state,))), (_PRIVILEGES, _ISSUER_PRIVILEGES)]
    elif what is What.APPLICATIONS:
        for one in domain.manages:
            if life := state.application(one.aid):
                head = [(_AID, one.aid), (_STATE, bytes((life,))), (_PRIVILEGES, one.privileges)]
                yield [*head, (_LOAD_FILE, one.load_file), (_DOMAIN, own)]
    else:
        for load_file in dict.fromkeys(one.load_file for one in domain.manages):
            modules = [(_MODULE, one.aid) for one in domain.manages if one.load_file == load_file]
            head = [(_AID, load_file), (_STATE, bytes((_LOADED,)))]
            yield [*head, *(modules if what is What.LOAD_FILES_AND_MODULES else []), (_DOMAIN, own)]


def _encoded(entry: Entry, tags: frozenset[int]) -> bytes:
    return tlv.encode(_ENTRY, b"".join(tlv.encode(tag, value) for tag, value in entry if not tags or tag in tags))


@issuer.handles("GP_SET_STATUS")
def set_status(ctx: IssuerSession, what: Subject, state: int, aid: bytes) -> bytes:
    """The card or an application moves on, or is locked and unlocked."""
    if what is Subject.ISSUER_DOMAIN:
        _move_card(ctx, state)
        return b""
    application = _managed(ctx, aid)
    life = ctx.cell.value.application(aid)
    new = life | LOCKED if state & LOCKED else life & ~LOCKED
    if new == life or not life:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "it is so already")
    _put(ctx, application, new)
    return b""


def _move_card(ctx: IssuerSession, state: int) -> None:
    now = ctx.cell.value
    if state not in STEPS[now.card_state]:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the life cycle has no such step")
    ctx.cell.put(replace(now, card_state=CardState(state)))
    ctx.card.put_out()


@issuer.handles("GP_INSTALL")
def install(ctx: IssuerSession, purpose: Purpose, parameters: bytes) -> bytes:
    """An application out of a load file that is on the card, or its last step."""
    load_file, module, aid = _names(parameters)
    application = _managed(ctx, aid)
    life = ctx.cell.value.application(aid)
    if purpose is Purpose.MAKE_SELECTABLE:
        if life & ~LOCKED != ApplicationState.INSTALLED:
            raise SwError(SW.CONDITIONS_NOT_SATISFIED, "it is not waiting to be made selectable")
        _put(ctx, application, life | ApplicationState.SELECTABLE)
        return _CONFIRMATION
    if load_file != application.load_file or module != application.aid:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such load file or module")
    if life:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "it is installed")
    installed = purpose is Purpose.INSTALL
    _put(ctx, application, ApplicationState.INSTALLED if installed else ApplicationState.SELECTABLE)
    return _CONFIRMATION


def _names(parameters: bytes) -> tuple[bytes, bytes, bytes]:
    """Load file, module and application of an INSTALL; what follows must be three more such values. Table 11-43."""
    values: list[bytes] = []
    position = 0
    while position < len(parameters):
        end = position + 1 + parameters[position]
        values.append(parameters[position + 1 : end])
        position = end
    if position != len(parameters) or len(values) != 6:
        raise SwError(SW.WRONG_DATA, "INSTALL has six values, each with its length before it")
    return values[0], values[1], values[2]


@issuer.handles("GP_DELETE")
def delete(ctx: IssuerSession, scope: Scope, name: bytes) -> bytes:
    """An application, and all it holds."""
    if name in ctx.domain.aids:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the issuer domain stays")
    of_file = [one for one in ctx.domain.manages if one.load_file == name]
    if of_file and (scope is Scope.OBJECT and any(ctx.cell.value.application(one.aid) for one in of_file)):
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "its application is there")
    for application in of_file or [_managed(ctx, name)]:
        if not of_file and not ctx.cell.value.application(application.aid):
            raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "it was deleted before")
        _put(ctx, application, ApplicationState.DELETED)
        application.erase()
    return _CONFIRMATION


def _managed(ctx: IssuerSession, aid: bytes) -> Application:
    for application in ctx.domain.manages:
        if application.aid == aid:
            return application
    raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such application")


def _put(ctx: IssuerSession, application: Application, life: int) -> None:
    """Keep an application's state; who has it selected has not any more, where it cannot be."""
    state = ctx.cell.value
    others = {aid: kept for aid, kept in state.applications.items() if aid != application.aid}
    states = others if life == ApplicationState.SELECTABLE else {**others, application.aid: life}
    ctx.cell.put(replace(state, applications=states))
    ctx.card.put_out()
