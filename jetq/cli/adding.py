"""
adding: ``jetq tasks add``, from words on a command line to a task and its end.
"""

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import msgspec
import typer

from jetq.app.application import App
from jetq.cli.choosing import Parents, Tries
from jetq.cli.durations import parse_duration
from jetq.cli.exits import FAILED
from jetq.cli.options import split_names
from jetq.cli.render import print_json
from jetq.cli.task_page import task_object
from jetq.cli.terminal import say
from jetq.client.handle import failure
from jetq.errors import InvalidPayloadError, InvalidSettingError
from jetq.model.name import check_name
from jetq.model.record import TaskRecord
from jetq.model.retry import NAMED, RetryLike
from jetq.model.state import State
from jetq.model.unique import Unique
from jetq.settings import Settings
from jetq.wire.codec import new_document
from jetq.wire.retry_option import decode_retry
from jetq.wire.unreadable import UNREADABLE

_SECONDS: Final = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class Wish:
    """
    What is to be enqueued.

    Attributes:
        payload: None for none.
        options: As of ``App.enqueue``.
    """

    task_type: str
    payload: msgspec.Raw | None
    options: dict[str, Any]

    @classmethod
    def parse(
        cls,
        task_type: str,
        payload: str | None,
        *,
        queue: str | None,
        task_id: str | None,
        delay: str | None,
        deadline: str | None,
        tries: Tries | None = None,
        unique: Unique | None = None,
        parents: Parents | None = None,
    ) -> Self:
        """
        Read the words.

        Raises:
            InvalidPayloadError: The payload is not JSON.
            InvalidSettingError: A duration or a policy is none, or results of no task are wanted.
            InvalidNameError: No policy can have that name.
        """
        options: dict[str, Any] = {"queue": queue, "id": task_id, "unique": unique}
        if tries is not None:
            options |= {"max_tries": tries.max_tries, "retry": _policy(tries.retry)}
        if parents is not None:
            options |= _depending(parents)
        for name, text in (("delay", delay), ("deadline", deadline)):
            if text is not None:
                options[name] = parse_duration(f"--{name}", text)
        return cls(task_type, None if payload is None else _json(task_type, payload), options)


def parse_unique(key: str | None, mode: str | None, period: str | None) -> Unique | None:
    """
    Read what is said about a unique task; None if nothing is.

    Raises:
        InvalidSettingError: A mode or a period without a key, or what cannot be meant.
    """
    if key is None:
        if mode is not None or period is not None:
            option = "--unique-mode" if period is None else "--unique-period"
            raise InvalidSettingError("--unique", key, f"a key: {option} is about unique tasks")
        return None
    seconds = None if period is None else parse_duration("--unique-period", period)
    if mode is None:
        return Unique(key, period=seconds)
    return Unique(key, mode, seconds)


def _policy(text: str | None) -> RetryLike | None:
    """Read a retry policy. What a name means is looked up where the task runs, which is not here."""
    if text is None:
        return None
    if text.startswith("{"):
        try:
            return decode_retry(msgspec.Raw(text.encode()))
        except ValueError as error:
            wanted = f"""a policy such as {{"kind": "fixed", "seconds": 30}} ({error})"""
            raise InvalidSettingError("--retry", text, wanted) from error
    return float(text) if _SECONDS.fullmatch(text) else check_name("retry policy", text)


def _depending(parents: Parents) -> dict[str, Any]:
    depends = split_names(parents.depends)
    if depends:
        return {"depends_on": depends, "load_dependencies": parents.load}
    if parents.load:
        raise InvalidSettingError("--load", True, "given with --depends: it is about the results of those tasks")
    return {}


def _json(task_type: str, text: str) -> msgspec.Raw:
    try:
        data = text.encode()
        msgspec.json.decode(data)
    except UNREADABLE as error:
        reason = f"it is not JSON: {error}; quote it for the shell, as '{{\"n\": 1}}', or pass - and use stdin"
        raise InvalidPayloadError(task_type, reason) from error
    return msgspec.Raw(data.strip())


def enqueue(wish: Wish, settings: Settings, *, wait: bool, timeout: str | None, as_json: bool) -> None:
    """
    Enqueue the task and print what is known of it, waiting for its end if that is wanted.

    Raises:
        EnqueueError: It was not enqueued.
        ResultTimeoutError: It did not end in time.
        ServerError: No connection, or a refusal.
        Exit: It ended without a result.
    """
    seconds = None if timeout is None else parse_duration("--timeout", timeout)
    settings = _knowing(settings, wish.options.get("retry"))

    async def run() -> TaskRecord | None:
        async with App("jetq cli", settings=settings) as app:
            handle = await app.aenqueue(wish.task_type, wish.payload, **wish.options)
            if not as_json:
                (say if wait else typer.echo)(handle.id)
            if not handle.is_new:
                say(f"jetq: no new task: {handle.id} has this key")
            if wait:
                return await handle.await_end(seconds)
            return await handle.arecord() if as_json else None

    record = asyncio.run(run())
    if record is not None and wait:
        _tell_end(record, as_json=as_json)
    elif record is not None:
        print_json(task_object(new_document(record)))


def _knowing(settings: Settings, policy: RetryLike | None) -> Settings:
    """Return settings with which the name of a policy can be sent; the worker's application knows what it means."""
    if not isinstance(policy, str) or policy in NAMED:
        return settings
    return replace(settings, retry_policies={policy: settings.retry})


def _tell_end(record: TaskRecord, *, as_json: bool) -> None:
    if as_json:
        print_json(task_object(new_document(record)))
    elif record.state is State.COMPLETE and record.result is not None:
        print_json(record.result.payload)
    if record.state is not State.COMPLETE:
        if not as_json:
            say(f"jetq: {failure(record)}")
        raise typer.Exit(FAILED)
