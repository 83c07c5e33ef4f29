"""From a method and a path to an operation. Parts of the API are loaded when a path of theirs is first asked for."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bsim.links.web.message import Refusal

if TYPE_CHECKING:
    from bsim.links.web.operation import Operation

_PLAIN: Final = re.compile(r"[A-Za-z0-9/._~-]*")
_LATE: Final = "?"  # where a part begins that is not loaded yet; no step of a path


def steps(path: str) -> tuple[str, ...]:
    """Cut a path at its slashes."""
    return tuple(path.strip("/").split("/"))


class Part(NamedTuple):
    """Operations that are loaded when somebody asks for one of these paths, or for one below."""

    paths: tuple[str, ...]
    load: "Callable[[], Sequence[Operation]]"


class Router:
    """Finds the operation for a method and a path."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts: Final = tuple(parts)
        self._tree: Final[dict[str, Any]] = {}
        for part in parts:
            for path in part.paths:
                self._node(path)[_LATE] = part

    @property
    def operations(self) -> "Sequence[Operation]":
        """All operations there are."""
        return [operation for part in self._parts for operation in part.load()]

    def _node(self, path: str) -> dict[str, Any]:
        node = self._tree
        for step in steps(path):
            node = node.setdefault("{}" if step.startswith("{") else step, {})
        return node

    def _loaded(self, node: dict[str, Any]) -> dict[str, Any]:
        if (part := node.get(_LATE)) is not None:
            for operation in part.load():
                self._node(operation.path).setdefault("", {})[operation.method] = operation
            del node[_LATE]  # not before: where loading went wrong, the next who asks tries again
        return node

    def find(self, method: str, path: str) -> "tuple[Operation, Mapping[str, str]]":
        """Answer the operation and what stands for its path's names; Refusal 404 or 405."""
        methods = self.methods(path)
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = ", ".join(sorted(methods))
            raise Refusal(405, f"this path takes {allowed}", headers=(("Allow", allowed),))
        steps = path.strip("/").split("/")
        named = zip(operation.steps, steps, strict=True)
        return operation, {name[1:-1]: step for name, step in named if name.startswith("{")}

    def methods(self, path: str) -> "Mapping[str, Operation]":
        """Answer what a path takes; Refusal 404 if nothing. No path here needs escapes, so none is understood."""
        node: dict[str, Any] | None = self._tree if _PLAIN.fullmatch(path) else None
        for step in path.removeprefix("/").split("/") if node is not None else ():
            if node is None:
                break
            node = node.get(step) or (node.get("{}") if step not in {"", ".", ".."} else None)
            node = node and self._loaded(node)
        if not node or "" not in node:
            raise Refusal(404, "there is nothing at this path; /v1/openapi.json lists what there is")
        found: Mapping[str, Operation] = node[""]
        return found
