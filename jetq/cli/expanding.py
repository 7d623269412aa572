"""
expanding: options that belong together, as one parameter of a command.

A parameter whose annotation is a dataclass stands for the dataclass's fields, each an option of the command; so options
that several commands share are spelled and read in one place.
"""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

Command = Callable[..., None]


def expanded(command: Command) -> Command:
    """Return the command as typer reads it: with the fields of its dataclasses in their places."""
    groups: dict[str, type[Any]] = {}
    shown: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and is_dataclass(kind):
            groups[parameter.name] = kind
            shown += [
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
                )
                for field in fields(kind)
            ]
        else:
            shown.append(parameter)

    def run(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
        command(**given)

    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # functions take it, though their type does not say so
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run
