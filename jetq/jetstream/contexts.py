"""
contexts: NATS contexts, as ``nats context`` writes them (ADR-21).

A context is a JSON file under ``$XDG_CONFIG_HOME/nats/context``. Paths may hold ``$VAR`` and ``~``, and secrets may be
references: ``file://``, ``env://``, ``data:`` and ``nsc://``. What jetq cannot do is refused by the name of the key,
never ignored: a connection that goes another way than the context says is worse than none.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from jetq.errors import NatsContextError
from jetq.jetstream.credentials import Credentials
from jetq.jetstream.nsc import find_profile
from jetq.jetstream.secret import Secret
from jetq.jetstream.tls import Tls

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_REFERENCES: Final = frozenset({"file", "env", "data", "nsc", "op"})
_REFUSED: Final = {
    "socks_proxy": "a SOCKS proxy",
    "windows_cert_store": "the Windows certificate store",
    "windows_cert_match_by": "the Windows certificate store",
    "windows_cert_match": "the Windows certificate store",
    "windows_ca_certs_match": "the Windows certificate store",
}


class _File(Struct):
    url: str = ""
    token: str = ""
    user: str = ""
    password: str = ""
    creds: str = ""
    nkey: str = ""
    cert: str = ""
    key: str = ""
    ca: str = ""
    nsc: str = ""
    jetstream_domain: str = ""
    jetstream_api_prefix: str = ""
    inbox_prefix: str = ""
    user_jwt: str = ""
    user_seed: str = ""
    tls_first: bool = False
    socks_proxy: str = ""
    windows_cert_store: str = ""
    windows_cert_match_by: str = ""
    windows_cert_match: str = ""
    windows_ca_certs_match: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class NatsContext:
    """
    What a context says.

    Attributes:
        name: Its name, or the path of its file.
        url: Comma-separated URLs, which may hold secrets; empty is the default.
        inbox_prefix, api_prefix: Empty is the default.
    """

    name: str
    url: str = field(repr=False)
    credentials: Credentials
    tls: Tls | None
    inbox_prefix: str
    api_prefix: str


def context_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of ``context.txt`` and ``context``."""
    root = environ.get("XDG_CONFIG_HOME")
    return (Path(root) if root else _home(environ) / ".config") / "nats"


def selected_context(environ: Mapping[str, str]) -> str | None:
    """Return the name of the context that ``nats context select`` chose, if any."""
    try:
        return (context_folder(environ) / "context.txt").read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def load_context(name: str, environ: Mapping[str, str]) -> NatsContext:
    """
    Read a context.

    Args:
        name: Its name, or the path of its file, which holds a separator.
        environ: For ``$VAR``, ``~``, ``env://`` and the place of the contexts.

    Raises:
        NatsContextError: It is missing, broken, or asks for what jetq cannot do.
        UnusableCredentialsError: A secret of it is no reference, or nsc cannot resolve it.
    """
    reader = _Reader(name, environ)
    said = reader.read(_find(name, environ))
    for key, what in _REFUSED.items():
        if getattr(said, key):
            raise NatsContextError(name, f"it asks for {what} ({key}), which jetq cannot use")
    url, creds = said.url, reader.stored("creds", said.creds)
    if said.nsc:
        profile = find_profile(said.nsc, environ)
        url = url or ",".join(profile.operator.service)
        creds = creds or Secret.in_file(profile.user_creds)
    prefix = said.jetstream_api_prefix.rstrip(".")
    return NatsContext(
        name=name,
        url=url,
        credentials=Credentials(
            user=Secret.of(said.user, f"user of {name}") if said.user else None,
            password=reader.literal("password", said.password),
            token=reader.literal("token", said.token),
            creds=creds,
            nkey=reader.stored("nkey", said.nkey),
            jwt=reader.literal("user_jwt", said.user_jwt),
            seed=reader.literal("user_seed", said.user_seed),
        ),
        tls=reader.tls(said),
        inbox_prefix=said.inbox_prefix.rstrip("."),
        api_prefix=f"$JS.{said.jetstream_domain}.API" if said.jetstream_domain else prefix,
    )


def _find(name: str, environ: Mapping[str, str]) -> Path:
    if "/" in name or os.sep in name:
        return Path(name)
    if not name or ".." in name or "\\" in name:
        raise NatsContextError(name, "that is no name of a context")
    folder = context_folder(environ) / "context"
    path = folder / f"{name}.json"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.json"))) or "none"
        raise NatsContextError(name, f"there is no such context in {folder}; known: {known}")
    return path


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home) if home else Path.home()


class _Reader(NamedTuple):
    """Reads the keys of one context."""

    name: str
    variables: Mapping[str, str]

    def read(self, path: Path) -> _File:
        try:
            return msgspec.json.decode(path.read_bytes(), type=_File)
        except OSError as error:
            raise NatsContextError(self.name, f"{path}: {(error.strerror or 'unreadable').lower()}") from None
        except msgspec.ValidationError as error:
            raise NatsContextError(self.name, f"{path}: {str(error).lower()}") from None
        except msgspec.DecodeError:
            raise NatsContextError(self.name, f"{path} is no JSON") from None

    def literal(self, key: str, text: str) -> Secret | None:
        """Return a secret that stands in the context, or where its reference says."""
        scheme = _scheme(text)
        if scheme in _REFERENCES:
            return self._referred(key, scheme, text)
        return Secret.of(text, f"{key} of {self.name}") if text else None

    def stored(self, key: str, text: str) -> Secret | None:
        """Return a secret that stands in a file, or where its reference says."""
        scheme = _scheme(text)
        if scheme:
            return self._referred(key, scheme, text)
        return Secret.in_file(self._path(key, text)) if text else None

    def tls(self, said: _File) -> Tls | None:
        """Return how to secure the connection, if the context says anything of it."""
        if bool(said.cert) != bool(said.key):
            raise NatsContextError(self.name, "cert and key are of use only together")
        paths = {key: self._file(key, getattr(said, key)) for key in ("cert", "key", "ca")}
        return Tls(**paths, first=said.tls_first) if any(paths.values()) or said.tls_first else None

    def _referred(self, key: str, scheme: str, text: str) -> Secret:
        rest = text[len(scheme) + 1 :].removeprefix("//")
        match scheme:
            case "file":
                return Secret.in_file(self._path(key, rest))
            case "env":
                return Secret.in_variable(rest, self.variables)
            case "data":
                return Secret.in_data(text, f"{key} of {self.name}")
            case "nsc":
                return Secret.in_file(find_profile(rest, self.variables).user_creds)
            case _:
                raise NatsContextError(self.name, f"its {key} is a {scheme}: reference, which jetq cannot resolve")

    def _file(self, key: str, text: str) -> str | None:
        scheme = _scheme(text)
        if scheme not in ("", "file"):
            raise NatsContextError(self.name, f"its {key} must be a file, and is a {scheme}: reference")
        return self._path(key, text[len("file://") :] if scheme else text) if text else None

    def _path(self, key: str, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if name not in self.variables:
                raise NatsContextError(self.name, f"its {key} names the variable {name}, which is not set")
            return self.variables[name]

        path = _VARIABLE.sub(value, text)
        return str(_home(self.variables)) + path[1:] if path == "~" or path.startswith("~/") else path


def _scheme(text: str) -> str:
    """Return the scheme of a reference in lower case; a single letter is a drive of Windows."""
    match = _SCHEME.match(text)
    return match[1].lower() if match else ""
