"""An operation of the API is declared once: router, checks and OpenAPI document are read off the same entry."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from bsim.links.web.message import JSON, Refusal, Request, Response, as_json
from bsim.links.web.router import steps
from bsim.links.web.schema import Schema, SchemaError, check

if TYPE_CHECKING:
    from bsim.links.web.hosted import Hosted
    from bsim.links.web.site import Site

_FIELDS: Final = 20
_DIGITS: Final = 9
_DEEPEST: Final = 100
_SAFE: Final = 1 << 53
_TOKEN: Final = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)


class Call:
    """One request to an operation: where it goes, and what it carries, checked."""

    __slots__ = ("body", "path", "query", "request", "site")

    def __init__(
        self, site: "Site", request: Request, path: Mapping[str, str], query: Mapping[str, int], body: Any
    ) -> None:
        self.site: Final = site
        self.request: Final = request
        self.path: Final = path
        self.query: Final = query
        self.body: Final = body

    @property
    def card(self) -> "Hosted":
        """The card of the path; Refusal 404 if there is none."""
        return self.site.rack.get(self.path["card"])


Run = Callable[[Call], object]
"""Carries an operation out: a JSON value, a Response, or an awaitable of either."""


@dataclass(frozen=True)
class Operation:
    """One method on one path. `text` says that the body may be plain text, and is answered with plain text then."""

    method: str
    path: str
    name: str
    summary: str
    run: Run
    answer: Schema
    body: Schema | None = None
    optional: bool = False
    status: int = 200
    refusals: tuple[int, ...] = ()
    query: Mapping[str, Schema] = field(default_factory=dict)
    public: bool = False
    text: str = ""

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """The path cut at its slashes."""
        return steps(self.path)

    def call(self, site: "Site", request: Request, path: Mapping[str, str]) -> "Response | Awaitable[Response]":
        """Check a request and carry it out."""
        outcome = self.run(Call(site, request, path, self._query(request.query), self._body(request)))
        return self._later(outcome) if isinstance(outcome, Awaitable) else self._response(outcome)

    async def _later(self, outcome: Awaitable[object]) -> Response:
        return self._response(await outcome)

    def _response(self, outcome: object) -> Response:
        if isinstance(outcome, Response):
            return outcome
        return Response(204) if self.status == 204 else as_json(outcome, self.status)

    def _body(self, request: Request) -> object:
        if self.body is None:
            return None
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.text and kind == "text/plain":
            return request.body
        if not request.body and self.optional:
            return {}
        if kind != JSON:
            raise Refusal(415, f"the body is {JSON}{' or text/plain' if self.text else ''}")
        value = parse(request.body)
        try:
            check(self.body, value)
        except SchemaError as fault:
            raise Refusal(400, str(fault), "WrongBody") from None
        return value

    def _query(self, query: str) -> Mapping[str, int]:
        """The numbers of the query; what is declared nowhere is refused, as it would have no effect."""
        if not query:
            return {}
        try:
            given = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS)
        except ValueError:
            raise Refusal(400, f"a query has {_FIELDS} fields at most", "WrongQuery") from None
        found: dict[str, int] = {}
        for name, digits in given:
            if name not in self.query:
                raise Refusal(400, f"the query may hold {', '.join(self.query) or 'nothing'}", "WrongQuery")
            if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
                raise Refusal(400, f"{name} is a number", "WrongQuery")
            found[name] = int(digits)
            if found[name] > self.query[name].get("maximum", found[name]):
                raise Refusal(400, f"{name} is {self.query[name]['maximum']} at most", "WrongQuery")
        return found


def parse(body: bytes) -> object:
    """Read JSON; Refusal 400 for what is none."""
    # Python's own limit is what some library has set it to, and beyond the stack there is no exception.
    if body.count(b"[") + body.count(b"{") > _DEEPEST and _depth(body) > _DEEPEST:
        raise Refusal(400, "the body is nested too deeply", "WrongJson")
    try:
        return json.loads(body, parse_float=_number, parse_constant=_no_constant)
    except ValueError:
        raise Refusal(400, "the body is no JSON", "WrongJson") from None


def _depth(body: bytes) -> int:
    """How deep arrays and objects are in each other; linear, whatever the body is."""
    depth = deepest = 0
    quoted = False
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token == b'"':
            quoted = not quoted
        elif not quoted and len(token) == 1:
            depth += 1 if token in b"[{" else -1
            deepest = max(deepest, depth)
    return deepest


def _number(text: str) -> float:
    """JSON Schema's integers are numbers without a fraction, however they are written."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < _SAFE else number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
