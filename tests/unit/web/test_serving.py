"""Where the HTTP API listens, and who may call it."""

from pathlib import Path
from typing import Any

import pytest

from jetq.errors import InvalidSettingError, UnusableCredentialsError
from jetq.web.guard import is_loopback
from jetq.web.serving import Access, read_token

TOKEN = "a-token-of-some-length"  # noqa: S105 - of these tests alone
ANYWHERE = ("0.0.0.0", 8080)  # noqa: S104 - nothing listens


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        pytest.param({"listen": ANYWHERE}, "--token-file or JETQ_HTTP_TOKEN; --no-auth", id="open to others"),
        pytest.param({"listen": ("::", 0)}, "--token-file", id="open to others over IPv6"),
        pytest.param({"listen": ("jobs.example", 0)}, "--token-file", id="a name"),
        pytest.param({"listen": ("127.0.0.1.example", 0)}, "--token-file", id="a name like an address"),
        pytest.param({"token": "short"}, "16 characters or more", id="a short token"),
        pytest.param({"token": TOKEN, "no_auth": True}, "absent where there is a token", id="both"),
        pytest.param({"certificate": Path("cert.pem")}, "given together with --tls-key", id="half of TLS"),
    ],
)
def test_access_that_is_not_safe_is_refused(said: dict[str, Any], wanted: str) -> None:
    with pytest.raises(InvalidSettingError, match=wanted) as refused:
        Access(**said)

    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({}, id="by default"),
        pytest.param({"listen": ("::1", 0)}, id="IPv6"),
        pytest.param({"listen": ("localhost", 0)}, id="by name"),
        pytest.param({"listen": ANYWHERE, "token": TOKEN}, id="with a token"),
        pytest.param({"listen": ANYWHERE, "no_auth": True}, id="said so"),
    ],
)
def test_access_that_is_safe_or_wanted_is_not_refused(said: dict[str, Any]) -> None:
    assert Access(**said).listen == said.get("listen", ("127.0.0.1", 8080))


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("LOCALHOST.", True),
        ("jetq.localhost", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("0.0.0.0", False),  # noqa: S104 - as above
        ("::", False),
        ("192.168.0.1", False),
        ("notlocalhost", False),
        ("localhost.example", False),
    ],
)
def test_what_leads_to_this_machine_alone_is_known(host: str, *, is_local: bool) -> None:
    assert is_loopback(host) is is_local


def test_a_name_that_leads_away_is_refused_when_that_is_known() -> None:
    access = Access(listen=("jobs.localhost", 0))

    access.check_address("127.0.0.1")
    with pytest.raises(InvalidSettingError, match=r"192\.168\.0\.1"):
        access.check_address("192.168.0.1")


def test_files_that_are_no_certificate_are_refused(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")

    for certificate in (tmp_path / "cert.pem", tmp_path / "none.pem"):
        with pytest.raises(UnusableCredentialsError, match=certificate.name):
            Access(certificate=certificate, key=tmp_path / "key.pem").check_certificate()


def test_a_token_is_read_without_the_end_of_its_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(f"{TOKEN}\r\n".encode())

    assert read_token(file) == TOKEN


@pytest.mark.parametrize("data", [b"", b"short\n", b"two words in one file\n", b"\xff" * 20])
def test_a_file_without_a_token_is_refused_by_its_option(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(data)

    with pytest.raises(InvalidSettingError, match="--token-file"):
        read_token(file)


def test_a_file_that_is_not_there_is_told_once_and_in_words(tmp_path: Path) -> None:
    away = tmp_path / "none"

    with pytest.raises(InvalidSettingError, match=r"a file with a token \(no such file or directory\), got"):
        read_token(away)
    with pytest.raises(UnusableCredentialsError, match=r"cannot be used: no such file or directory$"):
        Access(certificate=away, key=away).check_certificate()
