"""Binds handlers to their declarations and refuses a mismatch at import."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from functools import cache
from typing import Final, Generic, TypeVar

from bsim.applets.routes import Guard, Handler, Route, compile_route, refuse
from bsim.applets.session import Response, Session
from bsim.spec import Applet, Command, Kind, spec
from bsim.sw import SW

S = TypeVar("S", bound=Session)
H = TypeVar("H", bound=Callable[..., bytes | Response])

_NATIVE: Final = {Kind.BYTES: bytes, Kind.TLV: bytes, Kind.U8: int, Kind.U16: int, Kind.U32: int}


class BindingError(TypeError):
    """Code and declaration disagree."""


class Binding(Generic[S]):
    """Binds one applet's handlers, conditions and rights to what applet_spec declares."""

    def __init__(self, applet: str) -> None:
        self.spec: Applet = spec().applets[applet]
        self._handlers: dict[str, Handler] = {}
        self._conditions: dict[str, Guard] = {}
        self._rights: dict[str, Guard] = {}

    def handles(self, name: str) -> Callable[[H], H]:
        """Bind the handler of a command; its parameters after the session are the entry's fields, in order."""
        if name not in self.spec.commands:
            raise BindingError(f"{self.spec.name}: {name} is not declared")
        command = self.spec.commands[name]

        def bind(handler: H) -> H:
            _check_signature(command, handler)
            self._handlers[name] = handler
            return handler

        return bind

    def condition(self, name: str) -> Callable[[Callable[[S], bool]], Callable[[S], bool]]:
        """Bind a condition of use: where it answers False the command is refused with 6985."""

        def bind(holds: Callable[[S], bool]) -> Callable[[S], bool]:
            refusal = SW.CONDITIONS_NOT_SATISFIED
            self._conditions[name] = lambda session: None if holds(session) else refusal
            return holds

        return bind

    def right(self, name: str) -> Callable[[Callable[[S], SW | None]], Callable[[S], SW | None]]:
        """Bind a right: it answers None, or the status word (6982, 6983) that refuses the command."""

        def bind(check: Callable[[S], SW | None]) -> Callable[[S], SW | None]:
            self._rights[name] = check
            return check

        return bind

    def compile(self, extension: str = "") -> dict[str, tuple[Command, Route]]:
        """Turn every entry of the applet, or of one that extends it, into a route.

        BindingError where code or declaration lacks its counterpart.
        """
        declared, added = self.spec.declared_by(extension), self.spec.extensions.get(extension)
        conditions, rights = (added.conditions, added.rights) if added else self._own()
        self._check_complete("handler", self._handlers, declared, self.spec.commands)
        self._check_complete("condition", self._conditions, conditions, self.spec.conditions)
        self._check_complete("right", self._rights, rights, self.spec.rights)
        return {name: (command, self._route(command)) for name, command in declared.items()}

    def refused_in(self, state: str, extension: str = "") -> dict[str, tuple[Command, Route]]:
        """Answer routes for a state of the applet's life that never ends: what it refuses, they only refuse."""
        refuses = self.spec.life_cycle[state].refuses
        return {
            name: (command, refuse(SW(int(refuses[name], 16))) if name in refuses else self._route(command))
            for name, command in self.spec.declared_by(extension).items()
        }

    def _own(self) -> tuple[frozenset[str], frozenset[str]]:
        """The conditions and rights that no extension declares."""
        added = self.spec.extensions.values()
        conditions = frozenset(self.spec.conditions).difference(*(one.conditions for one in added))
        return conditions, frozenset(self.spec.rights).difference(*(one.rights for one in added))

    def _route(self, command: Command) -> Route:
        handler = self._handlers[command.name]
        guards = (
            *(self._conditions[name] for name in command.when),
            *(self._rights[name] for name in command.needs),
        )
        return compile_route(command, handler, guards, _types(handler))

    def _check_complete(self, what: str, bound: Iterable[str], declared: Iterable[str], known: Iterable[str]) -> None:
        """All that is declared is bound, and nothing is bound that no declaration of the applet knows."""
        odd = set(declared) - set(bound) | set(bound) - set(known)
        if odd:
            raise BindingError(f"{self.spec.name}: {what} without its counterpart: {', '.join(sorted(odd))}")


@cache  # asked for when a handler is bound, and again for every table of routes it is in
def _types(handler: Handler) -> dict[str, type]:
    """The parameters of a handler after its session, and their annotations."""
    parameters = list(inspect.signature(handler, eval_str=True).parameters.values())[1:]
    return {parameter.name: parameter.annotation for parameter in parameters}


def _check_signature(command: Command, handler: Handler) -> None:
    types = _types(handler)
    if tuple(types) != command.fields:
        raise BindingError(f"{command.name}: the handler takes {tuple(types)}, the entry has {command.fields}")
    for name, values, native in _declared_types(command):
        if not (_members(types[name]) == dict(values) if values else types[name] is native):
            raise BindingError(f"{command.name}: {name} is {dict(values) or native}, not {types[name]}")


def _declared_types(command: Command) -> Iterable[tuple[str, Mapping[str, int], type]]:
    for parameter in (command.p1, command.p2):
        if parameter.name:
            yield parameter.name, parameter.values, int
    if command.le_asked:
        yield "le", {}, int
    for field in command.data:
        yield field.name, field.values, _NATIVE[field.kind]


def _members(annotation: type) -> dict[str, int] | None:
    return {member.name: member.value for member in annotation} if issubclass(annotation, IntEnum) else None
