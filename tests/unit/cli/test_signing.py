"""Keys on the command line: a key or a file, and never shown."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.cli.signing import describe_signature, trust, with_keys
from jetq.errors import InvalidSettingError, UnusableCredentialsError
from jetq.model.record import TaskRecord
from jetq.model.signing import SigningSettings
from jetq.settings import Settings
from jetq.wire.codec import new_document
from jetq.wire.signature import Signer

SEED = "a1" * 32
SIGNER = Signer(bytes.fromhex(SEED))
PUBLIC, OTHER = SIGNER.public_key, Signer(b"b" * 32).public_key
DOCUMENT = new_document(TaskRecord(id="A1", type="t", queue="Q", created=datetime.now(UTC)))
SIGNED = SIGNER.signed(DOCUMENT)


def test_a_key_and_a_file_take_the_place_of_what_the_environment_says() -> None:
    here = Settings(signing=SigningSettings(key_file="elsewhere", verify=[OTHER], optional=True))

    by_value = with_keys(here, sign=SEED).signing
    assert (by_value.key, by_value.key_file, by_value.verify) == (SEED, None, (OTHER,))
    by_file = with_keys(here, sign="some/file", verify=[PUBLIC, "other/file"]).signing
    assert (by_file.key, by_file.key_file) == (None, "some/file")
    assert (by_file.verify, by_file.verify_files, by_file.optional) == ((PUBLIC,), ("other/file",), False)
    assert with_keys(here) is here
    assert with_keys(Settings(signing=SigningSettings(verify=PUBLIC)), optional=True).signing.optional


def test_a_file_whose_name_could_be_a_key_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(SEED).write_text(SEED)

    assert with_keys(Settings(), sign=SEED).signing == SigningSettings(key_file=SEED)
    assert with_keys(Settings(), sign="cafe").signing == SigningSettings(key_file="cafe")


@pytest.mark.parametrize("key", ["a1" * 31, "a1" * 33, "a" * 21])
def test_a_key_of_a_wrong_length_is_not_shown(key: str) -> None:
    with pytest.raises(UnusableCredentialsError) as refused:
        with_keys(Settings(), sign=key)

    assert refused.value.place == "--sign"
    assert key not in str(refused.value)


def test_signatures_are_optional_only_beside_a_key() -> None:
    with pytest.raises(InvalidSettingError, match="without verification keys"):
        with_keys(Settings(), optional=True)


def test_an_application_is_made_anew_only_for_keys() -> None:
    app = App("test", settings=Settings())
    clients = app.clients

    trust(app, None, optional=False)
    assert app.clients is clients
    trust(app, [PUBLIC], optional=True)
    assert app.settings.signing == SigningSettings(verify=PUBLIC, optional=True)


def test_a_signature_is_described_as_far_as_keys_are_known() -> None:
    trusting = SigningSettings(verify=PUBLIC)

    assert describe_signature(SIGNED, trusting) == "verified"
    assert describe_signature(DOCUMENT, trusting).startswith("refused: the task is not signed")
    assert describe_signature(DOCUMENT, replace(trusting, optional=True)) == "none, and none is needed"
    assert describe_signature(SIGNED, SigningSettings(verify=OTHER)).startswith("refused: the signature is wrong")
    assert "not verified" in describe_signature(SIGNED, SigningSettings())
    assert describe_signature(DOCUMENT, SigningSettings()) == ""
