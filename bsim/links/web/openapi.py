"""The OpenAPI document, read off the operations. OpenAPI 3.1."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from bsim.links.web import shapes
from bsim.links.web.message import JSON
from bsim.links.web.operation import Operation
from bsim.links.web.schema import Schema, text

_ALWAYS: Final = (400, 421, 429)
_STEP: Final = text(pattern="^[A-Za-z0-9._~-]{1,64}$")
_ERROR: Final = {"description": "Refused", "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}


def document(operations: Iterable[Operation], version: str, *, token: bool = False) -> dict[str, Any]:
    """Answer the document as a JSON value."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, token)
    # The page is no operation of the API, but it is at a path of one.
    page = {"200": {"description": "OK", "content": {"text/html": {}}}}
    paths["/"]["get"] = {"operationId": "console", "summary": "The console", "responses": page}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bsim",
            "version": version,
            "description": "Cards, and the phone around them. Test keys only.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": shapes.ERROR},
            "responses": {"Refused": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, token: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation, token),
    }
    if parameters := [*_path(operation), *_query(operation.query)]:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.optional,
            "content": _content(operation.body, operation.text),
        }
    if token and not operation.public:
        described["security"] = [{"token": []}]
    return described


def _responses(operation: Operation, token: bool) -> dict[str, Any]:
    done: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.status != 204:
        done["content"] = _content(operation.answer, operation.text)
    refusals = {*_ALWAYS, *operation.refusals, 403}
    refusals |= {413, 415} if operation.body is not None else set()
    refusals |= {401} if token and not operation.public else set()
    refused = {str(status): {"$ref": "#/components/responses/Refused"} for status in sorted(refusals)}
    return {str(operation.status): done, **refused}


def _content(schema: Schema, plain: str) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": schema}}
    if plain:
        content["text/plain"] = {"schema": text(plain, pattern=r"^\s*([0-9A-Fa-f]{2}\s*)+$")}
    return content


def _path(operation: Operation) -> list[dict[str, Any]]:
    names = [step[1:-1] for step in operation.steps if step.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": _STEP} for name in names]


def _query(query: Mapping[str, Schema]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in query.items()]
