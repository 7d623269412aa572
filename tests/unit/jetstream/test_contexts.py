# ruff: noqa: S105, S106 - the passwords are made up
"""NATS contexts (ADR-21)."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jetq.errors import JetqError, NatsContextError, UnusableCredentialsError
from jetq.jetstream.address import Address, find_address
from jetq.jetstream.contexts import load_context
from jetq.settings import ConnectionSettings
from tests.authorities import Operator, creds_text, user_key

Load = Callable[..., Address]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}


@pytest.fixture
def load(tmp_path: Path, environ: dict[str, str]) -> Load:
    """Give a function that writes a context and loads it."""

    def write(**keys: Any) -> Address:
        folder = tmp_path / ".config" / "nats" / "context"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "shop.json").write_text(json.dumps({"description": "", "color_scheme": "", **keys}))
        return find_address(ConnectionSettings(context="shop"), environ=environ)

    return write


def nsc(tmp_path: Path, script: str) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "nsc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)


def test_an_empty_context_means_the_default(load: Load) -> None:
    address = load(url="", user="", tls_first=False, windows_ca_certs_match=None)

    assert str(address) == "nats://127.0.0.1:4222 (NATS context 'shop')"
    assert (address.tls, address.inbox_prefix, address.api_prefix) == (None, "_INBOX", "$JS.API")
    assert address.credentials.options() == {}


def test_urls_prefixes_and_domain(load: Load) -> None:
    address = load(url="nats://a:1, tls://b:2", inbox_prefix="_INBOX_shop.", jetstream_domain="hub")

    assert [str(server) for server in address.servers] == ["nats://a:1", "tls://b:2"]
    assert address.tls is not None
    assert address.inbox_prefix == "_INBOX_shop"
    assert address.api_prefix == "$JS.hub.API"
    assert load(jetstream_api_prefix="from.hub").api_prefix == "from.hub"
    assert load(jetstream_api_prefix="from.hub", jetstream_domain="hub").api_prefix == "$JS.hub.API"


def test_user_and_password_win_over_every_other_way(load: Load) -> None:
    address = load(user="joe", password="secret", creds="/nowhere", nkey="/nowhere", user_jwt="x", token="t0ken")

    assert address.credentials.options() == {"user": "joe", "password": "secret", "token": "t0ken"}


def test_creds_win_over_nkey_and_jwt(load: Load, tmp_path: Path) -> None:
    (tmp_path / "user.creds").write_text(Operator().creds())

    options = load(creds="~/user.creds", nkey="/nowhere", user_jwt="x").credentials.options()

    assert list(options) == ["user_credentials"]


def test_an_nkey_file_is_bare_or_decorated(load: Load, tmp_path: Path) -> None:
    key = user_key()
    address = load(nkey=f"{tmp_path}/user.nk", user_jwt="x")

    for text in (key.seed, f"# my key\n{key.seed}\n", creds_text("e.y.z", key.seed)):
        (tmp_path / "user.nk").write_text(text)
        assert address.credentials.options() == {"nkeys_seed_str": key.seed}


def test_a_jwt_comes_with_its_seed_or_bears_itself(load: Load) -> None:
    key = user_key()

    both = load(user_jwt="e.y.z", user_seed=key.seed).credentials.options()["user_credentials"]
    bearer = load(user_jwt="e.y.z").credentials.options()

    assert "e.y.z" in both.data
    assert key.seed in both.data
    assert bearer["user_jwt_cb"]() == b"e.y.z"
    assert bearer["signature_cb"]("nonce") == b""


def test_secrets_are_read_when_they_are_needed(load: Load, environ: dict[str, str], tmp_path: Path) -> None:
    address = load(user="joe", password="env://SHOP_PASSWORD", token="file://~/token")
    (tmp_path / "token").write_text("t0")
    with pytest.raises(UnusableCredentialsError, match=r"env://SHOP_PASSWORD.*the variable SHOP_PASSWORD is not set"):
        address.credentials.options()

    for round_ in ("1", "2"):
        environ["SHOP_PASSWORD"] = f"p{round_}"
        (tmp_path / "token").write_text(f"t{round_}\n")
        assert address.credentials.options() == {"user": "joe", "password": f"p{round_}", "token": f"t{round_}"}


def test_secrets_may_stand_in_the_context_as_data(load: Load) -> None:
    creds = Operator().creds()
    encoded = base64.b64encode(creds.encode()).decode()

    for reference in (f"data:;base64,{encoded}", f"data:text/plain;base64,{encoded}"):
        assert "user_credentials" in load(creds=reference).credentials.options()


def test_a_password_with_a_colon_is_a_password(load: Load) -> None:
    assert load(user="joe", password="abc:def").credentials.options()["password"] == "abc:def"


def test_variables_and_home_in_paths(load: Load, environ: dict[str, str], tmp_path: Path) -> None:
    environ["KEYS"] = str(tmp_path / "keys")

    tls = load(ca="file://~/ca.pem", cert="$KEYS/cert.pem", key="${KEYS}/key.pem", tls_first=True).tls

    assert tls is not None
    assert (tls.ca, tls.cert, tls.key, tls.first) == (
        f"{tmp_path}/ca.pem",
        f"{tmp_path}/keys/cert.pem",
        f"{tmp_path}/keys/key.pem",
        True,
    )


def test_nsc_names_the_creds_and_the_server(load: Load, tmp_path: Path) -> None:
    (tmp_path / "user.creds").write_text(Operator().creds())
    profile = {"user_creds": f"{tmp_path}/user.creds", "operator": {"service": ["nats://a:1", "nats://b:2"]}}
    nsc(tmp_path, f"echo \"$@\" > {tmp_path}/asked\necho '{json.dumps(profile)}'")

    for keys in ({"nsc": "nsc://op/account/user"}, {"nsc": "op/account/user"}, {"creds": "nsc://op/account/user"}):
        address = load(**keys)
        assert "user_credentials" in address.credentials.options()
        assert (tmp_path / "asked").read_text().strip() == "generate profile nsc://op/account/user"
    assert [str(server) for server in load(nsc="op/account/user").servers] == ["nats://a:1", "nats://b:2"]
    assert [str(server) for server in load(nsc="op/account/user", url="c").servers] == ["nats://c:4222"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, "the program nsc is not in the PATH"),
        ("echo no such user >&2; exit 1", "nsc failed: no such user"),
        ("echo '{}'", "nsc named no creds file"),
        ("echo nonsense", "nsc failed"),
    ],
)
def test_what_nsc_cannot_do_is_told(load: Load, tmp_path: Path, script: str | None, words: str) -> None:
    if script is not None:
        nsc(tmp_path, script)

    with pytest.raises(UnusableCredentialsError, match=words):
        load(nsc="op/account/user")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"socks_proxy": "socks5://p:1"}, "a SOCKS proxy (socks_proxy), which jetq cannot use"),
        ({"windows_cert_store": "user"}, "the Windows certificate store (windows_cert_store)"),
        ({"windows_ca_certs_match": ["x"]}, "the Windows certificate store (windows_ca_certs_match)"),
        ({"creds": "op://vault/item/creds"}, "its creds is a op: reference, which jetq cannot resolve"),
        ({"token": "op://vault/item/token"}, "its token is a op: reference, which jetq cannot resolve"),
        ({"nkey": "vault://x"}, "its nkey is a vault: reference, which jetq cannot resolve"),
        ({"ca": "data:;base64,AA=="}, "its ca must be a file, and is a data: reference"),
        ({"cert": "/c.pem"}, "cert and key are of use only together"),
        ({"creds": "$NOWHERE/x.creds"}, "its creds names the variable NOWHERE, which is not set"),
        ({"url": 7}, "expected `str`, got `int` - at `$.url`"),
    ],
)
def test_what_jetq_cannot_do_is_refused_by_name(load: Load, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(NatsContextError) as refused:
        load(**keys)
    assert "'shop'" in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"creds": "~/missing.creds"}, "no such file or directory"),
        ({"creds": "~/empty"}, "hold no user JWT"),
        ({"nkey": "~/empty"}, "no seed of a user"),
        ({"user_jwt": "e.y.z", "user_seed": "SUAAA"}, "no seed of a user"),
        ({"creds": "data:,plain"}, "must read data:;base64"),
        ({"creds": "data:;base64,%%"}, "no base64"),
    ],
)
def test_credentials_that_are_none_are_told(load: Load, tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    (tmp_path / "empty").write_text("")

    with pytest.raises(UnusableCredentialsError, match=words):
        load(**keys).credentials.options()


@pytest.mark.parametrize("name", ["", "..", "..\\x", "a\\b"])
def test_illegal_names_are_refused(environ: dict[str, str], name: str) -> None:
    with pytest.raises(NatsContextError, match="no name of a context"):
        load_context(name, environ)


def test_a_file_may_be_named_by_its_path(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"url": "nats://mine:1"}')

    assert load_context(f"{tmp_path}/mine.json", environ).url == "nats://mine:1"
    with pytest.raises(NatsContextError, match="no such file"):
        load_context(f"{tmp_path}/other.json", environ)
    (tmp_path / "mine.json").write_text("nonsense")
    with pytest.raises(NatsContextError, match="is no JSON"):
        load_context(f"{tmp_path}/mine.json", environ)


def test_no_secret_shows(load: Load, tmp_path: Path, environ: dict[str, str]) -> None:
    secrets = {
        "password": "hush-password",
        "token": "hush-token",
        "user_jwt": "hush-jwt",
        "user_seed": "hush-seed",
        "creds": "data:;base64," + base64.b64encode(b"hush-creds").decode(),
    }
    address = load(url="nats://u:hush-url@a:1", **secrets)
    context = load_context("shop", environ)
    shown = [repr(address), str(address), repr(address.credentials), repr(context), repr(context.credentials)]
    for way in ({"user_jwt": "hush-jwt", "user_seed": "hush-seed"}, {"creds": secrets["creds"]}, {"nkey": "~/nk"}):
        (tmp_path / "nk").write_text("SUhush-nkey")
        with pytest.raises(JetqError) as failed:
            load(**way).credentials.options()
        shown.append(str(failed.value))

    assert all("hush" not in text for text in shown), shown
