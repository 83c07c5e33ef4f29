"""The parts of the API, each imported when a path of its own is first asked for: a server starts without them."""

# ruff: noqa: PLC0415 - late imports are what this file is for

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bsim.links.web.router import Part

if TYPE_CHECKING:
    from bsim.links.web.operation import Call, Operation


def _cards() -> "Sequence[Operation]":
    from bsim.links.web.cards import OPERATIONS

    return OPERATIONS


def _state() -> "Sequence[Operation]":
    from bsim.links.web.state import OPERATIONS

    return OPERATIONS


def _apdu() -> "Sequence[Operation]":
    from bsim.links.web.talk import OPERATIONS

    return OPERATIONS


def _sessions() -> "Sequence[Operation]":
    from bsim.links.web.sessions import OPERATIONS

    return OPERATIONS


def _phone() -> "Sequence[Operation]":
    from bsim.links.web.phone import OPERATIONS

    return OPERATIONS


def _lab() -> "Sequence[Operation]":
    from bsim.links.web.lab_ops import OPERATIONS

    return OPERATIONS


def _assets() -> "Sequence[Operation]":
    from bsim.links.web.assets import OPERATIONS

    return OPERATIONS


def _rpc() -> "Sequence[Operation]":
    from bsim.links.web.rpc import OPERATIONS

    return OPERATIONS


def _document(call: "Call") -> object:
    from bsim import __version__
    from bsim.links.web import openapi

    return openapi.document(call.site.router.operations, __version__, token=call.site.guarded)


def _openapi() -> "Sequence[Operation]":
    from bsim.links.web.operation import Operation

    path, answer = "/v1/openapi.json", {"type": "object"}
    return (Operation("GET", path, "openapi", "This document", _document, answer, public=True),)


_CARD: Final = "/v1/cards/{card}"
PARTS: Final = (
    Part(("/healthz", "/v1/cards"), _cards),
    Part((f"{_CARD}/state",), _state),
    Part((f"{_CARD}/apdu",), _apdu),
    Part(("/v1/readers", "/v1/sessions"), _sessions),
    Part((f"{_CARD}/dialogues", f"{_CARD}/script"), _phone),
    Part((f"{_CARD}/faults", f"{_CARD}/trace"), _lab),
    Part((f"{_CARD}/assets",), _assets),
    Part((f"{_CARD}/rpc", "/rpc", "/"), _rpc),
    Part(("/v1/openapi.json",), _openapi),
)
