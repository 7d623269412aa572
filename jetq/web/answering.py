"""
answering: from what an endpoint returns or raises to what goes over the wire.

Whatever happens, a caller gets JSON of one of two shapes: what was asked for, or a problem. A defect is written to the
log with its traceback, and the caller learns only that there is one.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from jetq.errors import JetqError
from jetq.observe.logs import Log
from jetq.web.body import JSON
from jetq.web.endpoint import Endpoint
from jetq.web.problem import Code, Problem, ProblemError, problem_of, shown
from jetq.web.service import Service
from jetq.wire.codec import encode_json

Serve = Callable[[Request], Awaitable[Response]]

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_NONE: Final[Mapping[str, str]] = {}
_NO_BODY: Final = 204
_LOG: Final = Log("jetq.web")


def json_response(body: object, status: int, headers: Mapping[str, str] = _NONE) -> Response:
    """Return an answer; None has no body."""
    content = None if body is None else encode_json(body)
    return Response(content, status, {**_HEADERS, **headers}, JSON if content is not None else None)


def problem_response(problem: Problem, headers: Mapping[str, str] = _NONE) -> Response:
    """Return the answer that tells a problem."""
    if problem.code in (Code.RATE_LIMITED, Code.UNAVAILABLE):
        headers = {**headers, "Retry-After": "1"}
    if problem.code is Code.UNAUTHORIZED:
        headers = {**headers, "WWW-Authenticate": 'Bearer realm="jetq"'}
    return json_response(problem.body(), problem.http_status, headers)


def serving(endpoints: Mapping[str, Endpoint], service: Service) -> Serve:
    """
    Return what serves one path.

    Args:
        endpoints: Of that path, by their methods.
        service: What they work with.
    """

    async def serve(request: Request) -> Response:
        began, method = time.monotonic(), "GET" if request.method == "HEAD" else request.method
        response = await _answered(endpoints[method], service, request)
        took, path = round(time.monotonic() - began, 6), request.url.path
        _LOG.debug("request", method=request.method, path=path, status=response.status_code, duration=took)
        return response

    return serve


async def _answered(endpoint: Endpoint, service: Service, request: Request) -> Response:
    try:
        async with asyncio.timeout(service.patience):
            answer = await endpoint.run(service, request)
        if answer.kind:
            return Response(answer.body, headers={**_HEADERS, **answer.headers}, media_type=answer.kind)
        return json_response(answer.body, answer.status or endpoint.status, answer.headers)
    except ProblemError as error:
        problem = error.problem
    except JetqError as error:
        problem = problem_of(error)
    except ClientDisconnect:
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it
    except TimeoutError:
        message = f"no answer within {service.patience:g} s; what was asked for may have been done"
        problem = Problem(code=Code.UNAVAILABLE, reason="timeout", message=message)
    except Exception as error:  # noqa: BLE001 - whatever is wrong here, a caller gets an answer and no traceback
        told = "".join(traceback.format_exception(error))
        _LOG.write(logging.ERROR, "request failed", method=request.method, path=request.url.path, exception=told)
        problem = Problem(code=Code.INTERNAL, message="something is wrong with this server; its log says what")
    else:
        raise AssertionError
    if problem.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _LOG.warning("request not answered", method=request.method, path=request.url.path, **shown(problem))
    return problem_response(problem)


async def unrouted(_request: Request, error: Exception) -> Response:
    """Return the answer to a request that leads nowhere."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette calls it for those alone
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        message = "this path has no such method; the header Allow names those that it has"
        problem = Problem(
            code=Code.INVALID_ARGUMENT, reason="method_not_allowed", message=message, status=error.status_code
        )
    else:
        message = "there is nothing at this path; /v1/openapi.json tells what there is"
        problem = Problem(code=Code.NOT_FOUND, reason="path_not_found", message=message)
    return problem_response(problem, error.headers or _NONE)
