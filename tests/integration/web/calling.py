"""Calls of an ASGI application without a server or a client library between."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message


@dataclass(frozen=True)
class Answered:
    """What came of a request."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def problem(self) -> tuple[int, str, str, str]:
        """Status, code, reason and field of an error."""
        error = self.json["error"]
        details = error.get("details", {})
        return self.status, error["code"], details.get("reason", ""), details.get("field", "")


@dataclass(frozen=True)
class Caller:
    """Calls an API as a browser or program that sends these headers."""

    api: ASGIApp
    headers: Mapping[str, str]

    def using(self, **headers: str) -> "Caller":
        return Caller(self.api, {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}})

    async def get(self, path: str) -> Answered:
        return await self.call("GET", path)

    async def post(self, path: str, body: Any = None) -> Answered:
        return await self.call("POST", path, body)

    async def call(self, method: str, path: str, body: Any = None, *, parts: Sequence[bytes] | None = None) -> Answered:
        """Send a body as JSON, or in *parts* as they are."""
        data = b"" if body is None else json.dumps(body).encode()
        parts = parts if parts is not None else [data]
        headers = dict(self.headers)
        if body is not None:
            headers.setdefault("content-type", "application/json")
        name, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": name,
            "raw_path": name.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode("latin-1")) for key, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        }
        waiting = list(parts)
        sent: list[Message] = []

        async def receive() -> Message:
            part = waiting.pop(0) if waiting else b""
            return {"type": "http.request", "body": part, "more_body": bool(waiting)}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.api(scope, receive, send)
        [start] = [message for message in sent if message["type"] == "http.response.start"]
        answered = {key.decode(): value.decode() for key, value in start["headers"]}
        return Answered(start["status"], answered, b"".join(message.get("body", b"") for message in sent))
