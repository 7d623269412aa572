"""Errors cross processes, explain themselves, and stand in the tree that their module draws."""

import inspect
import pickle
import re
from datetime import timedelta
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import jetq.errors
from jetq.errors import JetqError, Signal

LEAF = re.compile(r"(?P<branches>[ │├└─]*)(?P<name>[A-Z]\w+)")
SAMPLES: dict[Any, Any] = {
    str: "sample",
    int: 7,
    float: 1.5,
    bool: True,
    object: "thing",
    timedelta: timedelta(seconds=9),
    Any: OSError("inner"),
}
CLASSES: list[type[Exception]] = [
    value for value in vars(jetq.errors).values() if isinstance(value, type) and issubclass(value, JetqError | Signal)
]


def sample(annotation: Any) -> Any:
    if annotation in SAMPLES:
        return SAMPLES[annotation]
    inner = get_args(annotation)[0]
    return [sample(inner)] if get_origin(annotation) is list else sample(inner)


def instance(cls: type[Exception]) -> Exception:
    if cls.__init__ in (Exception.__init__, JetqError.__init__):
        return cls("a sentence")
    hints = get_type_hints(cls.__init__)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = sample(hints[name])
        else:
            positional.append(sample(hints[name]))
    return cls(*positional, **named)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_pickling(cls: type[Exception]) -> None:
    error = instance(cls)
    error.add_note("seen in a process pool")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is cls
    assert str(copy) == str(error) != ""
    assert repr(copy.args) == repr(error.args)
    assert repr(vars(copy)) == repr(vars(error))


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_keeps_its_arguments_as_attributes(cls: type[Exception]) -> None:
    error = instance(cls)
    taken = set(list(inspect.signature(cls.__init__).parameters)[1:]) - {"args", "kwargs", "message"}

    assert taken <= set(vars(error))


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (jetq.errors.__doc__ or "").partition("::")[2].splitlines():
        if line.startswith("    ") and (leaf := LEAF.match(line)):
            depth = len(leaf["branches"]) // 4 - 1
            above[depth:] = [leaf["name"]]
            drawn[leaf["name"]] = above[depth - 1] if depth else ""

    assert drawn == {cls.__name__: base.__name__ if (base := cls.__bases__[0]) in CLASSES else "" for cls in CLASSES}
