"""
micro: NATS micro services (ADR-32), as ``nats micro ls``, ``info`` and ``stats`` ask for them.

Each service answers on ``$SRV.PING``, ``$SRV.INFO`` and ``$SRV.STATS``, alone, with its name, and with its name and id
behind. Times are nanoseconds, and names hold letters, digits, ``-`` and ``_``.
"""

import re
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

VERBS: Final = ("PING", "INFO", "STATS")
_PREFIX: Final = "$SRV"
_ILLEGAL: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_NO_VERSION: Final = "0.0.0"

_encode: Final = msgspec.json.Encoder().encode


class Endpoint(Struct, kw_only=True):
    """
    What a service answers on one subject, and how often it did.

    Attributes:
        name: Of the endpoint.
        subject: Where it listens.
        queue_group: Of the servers of which one gets each request.
        metadata: What else there is to say.
        requests, errors: Answers, and how many of them were errors.
        last_error: The last of them.
        nanoseconds: Spent on all answers.
    """

    name: str
    subject: str
    queue_group: str
    metadata: dict[str, str]
    requests: int = 0
    errors: int = 0
    last_error: str = ""
    nanoseconds: int = 0


class Service(Struct, frozen=True, kw_only=True):
    """
    A micro service.

    Attributes:
        name: Of all of its kind.
        id: Its own.
        version: SemVer.
        description: A sentence.
        metadata: What else there is to say.
        endpoints: What it answers.
        started: Since when.
    """

    name: str
    id: str
    version: str
    description: str
    metadata: dict[str, str]
    endpoints: list[Endpoint]
    started: datetime

    def subjects(self, verb: str) -> list[str]:
        """Return where one of `VERBS` is asked."""
        return [f"{_PREFIX}.{verb}", f"{_PREFIX}.{verb}.{self.name}", f"{_PREFIX}.{verb}.{self.name}.{self.id}"]

    def answer(self, verb: str) -> bytes:
        """Return the answer to one of `VERBS`."""
        said: dict[str, object] = {
            "type": f"io.nats.micro.v1.{verb.lower()}_response",
            "name": self.name,
            "id": self.id,
            "version": self.version,
            "metadata": self.metadata,
        }
        if verb == "INFO":
            said |= {"description": self.description, "endpoints": [_info(each) for each in self.endpoints]}
        elif verb == "STATS":
            started = (
                f"{self.started.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"  # nats-py reads no time without a fraction
            )
            said |= {"started": started, "endpoints": [_stats(each) for each in self.endpoints]}
        return _encode(said)


def _info(each: Endpoint) -> dict[str, object]:
    return {
        "name": each.name,
        "subject": each.subject,
        "queue_group": each.queue_group,
        "metadata": each.metadata,
    }


def _stats(each: Endpoint) -> dict[str, object]:
    return {
        "name": each.name,
        "subject": each.subject,
        "queue_group": each.queue_group,
        "num_requests": each.requests,
        "num_errors": each.errors,
        "last_error": each.last_error,
        "processing_time": each.nanoseconds,
        "average_processing_time": each.nanoseconds // each.requests if each.requests else 0,
        "data": None,  # nothing beside that, but nats-py wants to read it
    }


def legal_name(text: str) -> str:
    """Return *text* as a name of a service or an endpoint."""
    return _ILLEGAL.sub("-", text).strip("-") or "jetq"


def legal_version(text: str) -> str:
    """Return the part of a version that is SemVer."""
    found = _VERSION.search(text)
    return found[0] if found else _NO_VERSION
