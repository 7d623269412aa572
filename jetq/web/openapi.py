"""
openapi: the API, described for programs.

Made of the endpoints and of the structs that they read and write, so that it says what is.
"""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from inspect import cleandoc
from typing import Any, Final

import msgspec

from jetq.web.body import JSON
from jetq.web.endpoint import Endpoint
from jetq.web.problem import Error

PATH: Final = "/v1/openapi.json"
_REF: Final = "#/components/schemas/{name}"
_VARIABLE: Final = re.compile(r"\{(\w+)\}")
_ATTRIBUTE: Final = re.compile(r"^ +(?P<names>\w+(?:, \w+)*): (?P<text>.*(?:\n {6,}.*)*)", re.MULTILINE)
_ALL: Final = (401, 403, 500, 503)
"""Statuses that every answer of ``/v1`` may have."""
_DESCRIPTION: Final = """\
Tasks, queues and schedules of jetq over HTTP, on the paths and with the bodies and error codes of asyncjobs' API.

A body must say that it is `application/json`, hold known fields only, and have at most 512 KiB. Where the server has a
token, callers send `Authorization: Bearer TOKEN`. Payloads are given as JSON (`payload`) or as the base64 of their
bytes (`payload_base64`), and come back as base64. Durations are given as Go writes them, `90s` or `1h30m`.
Every error has one shape; its `code` and `details.reason` stay the same, its `message` is for people."""


def document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the OpenAPI document, as what JSON holds."""
    kinds = {kind for endpoint in endpoints for kind in (endpoint.takes, endpoint.gives) if kind is not None} | {Error}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jetq HTTP API",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints)],
        "paths": paths,
        "components": {
            "schemas": {name: _explained(schema) for name, schema in sorted(schemas.items())},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _explained(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose fields have the meanings that the docstring of its struct gives them."""
    text, _, attributes = cleandoc(schema.get("description", "")).partition("\n\nAttributes:\n")
    properties: dict[str, Any] = {name: dict(told) for name, told in schema.get("properties", {}).items()}
    for found in _ATTRIBUTE.finditer(attributes):
        for name in found["names"].split(", "):
            if name in properties:
                properties[name]["description"] = _plain(found["text"])
    told = {**schema, "description": _plain(text)} if text else dict(schema)
    return {**told, "properties": properties} if properties else told


def _plain(text: str) -> str:
    """Return the text of a docstring as Markdown, on one line."""
    return " ".join(text.replace("``", "`").split())


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    is_open = not endpoint.path.startswith("/v1/")
    told: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "parameters": [*_of_path(endpoint), *_others(endpoint)],
        "responses": {str(endpoint.status): _response(endpoint.status, endpoint.gives)}
        | {
            str(status): _response(status, endpoint.gives if is_open else Error)
            for status in sorted({*endpoint.refuses, *(() if is_open else _ALL)})
        },
    }
    if is_open:
        told["security"] = [{}]
    if endpoint.takes is not None:
        told["requestBody"] = {"required": not endpoint.may_lack_body, "content": _content(endpoint.takes)}
    return told


def _of_path(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for name in _VARIABLE.findall(endpoint.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _others(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for each in endpoint.parameters:
        yield {"name": each.name, "in": each.place, "description": each.meaning, "schema": dict(each.kind)}


def _response(status: int, kind: type[Any] | None) -> dict[str, Any]:
    told: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    return told if kind is None else told | {"content": _content(kind)}


def _content(kind: type[Any]) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
