"""HTTP as the API sees it: whole requests, whole responses, and refusals as exceptions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

JSON: Final = "application/json"
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
TEXT: Final = "text/plain; charset=utf-8"


@dataclass(slots=True)
class Request:
    """One request, read to its end. `path` is not decoded; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    peer: str
    body: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Response:
    """One response, not streamed."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)


class Refusal(Exception):  # noqa: N818 - an answer to the client, and no error of ours
    """A request is answered with this status; `kind` names the case for programs, the message is for people."""

    def __init__(self, status: int, message: str, kind: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status: Final = status
        self.kind: Final = kind or HTTPStatus(status).phrase.replace(" ", "").replace("-", "")
        self.headers: Final = headers

    def response(self) -> Response:
        """The refusal as it goes out."""
        value = {"error": {"type": self.kind, "message": str(self)}}
        return Response(self.status, encode(value), JSON, list(self.headers))


def encode(value: object) -> bytes:
    """Write JSON, compact; half of a surrogate pair, which UTF-8 cannot have, stays escaped."""
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def as_json(value: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(status, encode(value))
