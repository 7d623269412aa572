"""Names: as asyncjobs spells them, and apart from each other."""

import inspect
from typing import Any

import pytest

from jetq.model.name import is_name
from jetq.wire.names import GO_NAMESPACE, Names
from tests.golden.files import lives

GO = Names(GO_NAMESPACE)
ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER.PAUSE."
"""Where the server itself tells of our streams."""


def spelled(names: Names) -> dict[str, list[str]]:
    """Return every name there is, each of a thing called X."""
    found: dict[str, list[str]] = {}
    for word, member in vars(Names).items():
        if word.startswith("_") or word in Names._fields or isinstance(member, staticmethod):
            continue
        value: Any = getattr(names, word)
        if callable(value):
            value = value(*("X" for _ in inspect.signature(value).parameters))
        found[word] = [value] if isinstance(value, str) else list(value)
    return found


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (GO.tasks, "CHORIA_AJ_TASKS"),
        (GO.records_subject, "CHORIA_AJ.T.*"),
        (GO.record("X"), "CHORIA_AJ.T.X"),
        (GO.queue("X"), "CHORIA_AJ_Q_X"),
        (GO.queue_prefix, "CHORIA_AJ_Q_"),
        (GO.items_subject("X"), "CHORIA_AJ.Q.X.>"),
        (GO.item("X", "Y"), "CHORIA_AJ.Q.X.Y"),
        (GO.task_event("X"), "CHORIA_AJ.E.task_state.X"),
        (GO.configuration, "CHORIA_AJ_CONFIGURATION"),
        (GO.elections, "CHORIA_AJ_ELECTIONS"),
    ],
)
def test_what_go_has_a_name_for_has_the_same_here(ours: str, theirs: str) -> None:
    assert ours == theirs


def test_a_client_of_go_uses_no_stream_that_has_no_name_here() -> None:
    prefixes = (f"{GO_NAMESPACE}.T.", f"{GO_NAMESPACE}.Q.", f"{GO_NAMESPACE}.E.", f"$KV.{GO.configuration}.")

    assert all(message.subject.startswith(prefixes) for message in lives())


def test_every_name_is_within_its_namespace() -> None:
    for word, texts in spelled(Names("SHOP")).items():
        assert all(text.removeprefix("$KV.").removeprefix(ADVISORY).startswith(("SHOP.", "SHOP_")) for text in texts), (
            word
        )


def test_no_two_subjects_are_equal() -> None:
    texts = [text for names in spelled(Names("SHOP")).values() for text in names]

    assert len(set(texts)) == len(texts)


def test_two_queues_whose_names_begin_alike_share_no_subject() -> None:
    names = Names("SHOP")

    assert not names.item("MAIL2", "X").startswith(names.items_subject("MAIL").rstrip(">"))
    assert names.item("MAIL", "X").startswith(names.items_subject("MAIL").rstrip(">"))


def test_the_names_of_streams_and_buckets_are_legal_on_the_server() -> None:
    names = Names("SHOP")
    streams = [names.tasks, names.schedules, names.keys, names.links, names.queue("a:b-c_D")]
    buckets = [names.configuration, names.elections, names.workers]

    assert all(is_name(stream) for stream in streams)
    assert all(is_name(names.bucket_stream(bucket)) and ":" not in bucket for bucket in buckets)
