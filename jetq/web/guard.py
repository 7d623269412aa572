"""
guard: who may call the API.

Three questions, asked before anything of a request is read:

* **Whose is it?** With a token, a caller shows it as ``Authorization: Bearer TOKEN``; it is compared in constant time.
  The health pages are open, and say nothing but that.
* **Which server does it mean?** Without a token whoever reaches the port may call, so the port is one that only this
  machine reaches. A browser on this machine reaches it too, and a page of any site can have its own name lead to
  127.0.0.1 after it was loaded (DNS rebinding): then the browser takes the API for that site. The ``Host`` header names
  the site, so one that is none of the server's names is refused.
* **Did another site's page send it?** A browser says so, in ``Sec-Fetch-Site``, or an old one in ``Origin``; a request
  that changes something is refused then. This is the algorithm of Go's ``http.CrossOriginProtection``; what is no
  browser sends neither and passes. No answer has the headers that would let such a page read it.
"""

import hmac
import ipaddress
import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from jetq.errors import InvalidSettingError
from jetq.web.answering import problem_response
from jetq.web.deployment import HEALTH, READY
from jetq.web.problem import Code, Problem

LEAST_TOKEN: Final = 16
"""Characters; what is shorter can be guessed."""
_OPEN: Final = frozenset({HEALTH, READY})
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BEARER: Final = "bearer "
_HOST: Final = re.compile(r"(?:\[(?P<address>[^\[\]]*)\]|(?P<name>[^:]*))(?::\d*)?", re.ASCII)
_LOCAL: Final = "localhost"
_TOKEN: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)


def check_token(setting: str, token: str) -> str:
    """
    Return a token that may be used.

    Raises:
        InvalidSettingError: It is too short, or cannot stand in a header; the error does not hold it.
    """
    if len(token) < LEAST_TOKEN or _TOKEN.fullmatch(token) is None:
        wanted = f"a token of {LEAST_TOKEN} characters or more, without spaces (openssl rand -hex 32 makes one)"
        raise InvalidSettingError(setting, f"{len(token)} characters", wanted)
    return token


def is_loopback(host: str) -> bool:
    """Whether a name or an address leads to this machine alone."""
    name = host.strip("[]").rstrip(".").lower()
    if name == _LOCAL or name.endswith(f".{_LOCAL}"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class Guard:
    """
    Stands before the API; ASGI middleware.

    Args:
        app: What it guards.
        token: What callers must show; None lets everybody in.
        local: Only requests that mean this machine by one of its own names pass.
        hosts: Further names of this server, without ports; with some, no others pass.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, local: bool, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._local = local
        self._hosts = frozenset(map(_name_of, hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(problem)(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_ours(host):
            message = f"the Host header {host[:80]!r} names none of this server's; --allowed-host adds one"
            return Problem(code=Code.FORBIDDEN, reason="host_not_allowed", message=message)
        if scope["method"] not in _SAFE and _comes_from_elsewhere(headers, host):
            message = "a page of another site sent this request, and browsers may not change anything from there"
            return Problem(code=Code.FORBIDDEN, reason="cross_site", message=message)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._token is None or path in _OPEN or self._shows_token(headers):
            return None
        message = "the token is missing or wrong: send the header Authorization: Bearer TOKEN"
        return Problem(code=Code.UNAUTHORIZED, reason="token_wrong", message=message)

    def _is_ours(self, host: str) -> bool:
        if not self._local and not self._hosts:
            return True
        name = _name_of(host)
        return name in self._hosts or (self._local and is_loopback(name))

    def _shows_token(self, headers: Headers) -> bool:
        said = headers.get("authorization", "")
        if said[: len(_BEARER)].lower() != _BEARER:
            return False
        return hmac.compare_digest(said[len(_BEARER) :].strip().encode(), self._token or b"")


def _name_of(host: str) -> str:
    """Return a name or an address without its port."""
    found = _HOST.fullmatch(host)
    name = host if found is None else found["address"] or found["name"] or ""
    return name.rstrip(".").lower()


def _comes_from_elsewhere(headers: Headers, host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != host.lower()
