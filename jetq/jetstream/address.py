"""
address: where the server is, and who we are there.

The nearest answer wins: what the caller says, then ``JETQ_CONTEXT``, ``JETQ_NATS_URL``, ``NATS_CONTEXT``,
``NATS_URL``, an embedded server that runs in this folder, the selected NATS context, and at last this machine.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from jetq.errors import InvalidSettingError
from jetq.jetstream.credentials import Credentials, Secret
from jetq.jetstream.tls import Tls
from jetq.settings import DEFAULT_SERVER, STATE_FOLDER, ConnectionSettings

API_PREFIX: Final = "$JS.API"
INBOX_PREFIX: Final = "_INBOX"
_PORT: Final = 4222


@dataclass(frozen=True)
class ServerUrl:
    """
    One server.

    Attributes:
        scheme: ``nats`` or ``tls``.
        credentials: Of its user part, which wins over the address's.
        tls_name: The name that its certificate must carry; empty is the host.
    """

    scheme: str
    host: str
    port: int
    credentials: Credentials | None = field(default=None, repr=False)
    tls_name: str = ""

    @classmethod
    def parse(cls, text: str, setting: str = "servers") -> Self:
        """
        Read a URL, ``host:port`` or ``host``.

        Raises:
            InvalidSettingError: It is none; the message does not repeat it, for it may hold a password.
        """
        try:
            split = urlsplit(text if "://" in text else f"nats://{text}")
            port = split.port or _PORT
        except ValueError:
            raise _invalid(setting) from None
        if split.scheme not in ("nats", "tls") or not split.hostname or split.path not in ("", "/"):
            raise _invalid(setting)
        return cls(split.scheme, split.hostname, port, _user_part(split.username, split.password))

    def __str__(self) -> str:
        """Return the URL without its user part."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _invalid(setting: str) -> InvalidSettingError:
    return InvalidSettingError(setting, "(not shown)", "NATS URLs such as nats://host:4222 or tls://host:4222")


def _user_part(user: str | None, password: str | None) -> Credentials | None:
    if not user:
        return None
    if password is None:
        return Credentials(token=Secret.of(unquote(user), "in the URL"))
    return Credentials(user=Secret.of(unquote(user), "in the URL"), password=Secret.of(unquote(password), "in the URL"))


@dataclass(frozen=True, kw_only=True)
class Address:
    """
    Where the server is, and who we are there. Its repr and str hold no secret.

    Attributes:
        servers: Any of one cluster.
        source: Who said so, for people.
        tls: None uses TLS only if the server asks for it.
        inbox_prefix: First tokens of the subjects of answers.
        api_prefix: First tokens of the JetStream API, which a domain or an import changes.
    """

    servers: tuple[ServerUrl, ...]
    source: str
    credentials: Credentials = field(default_factory=Credentials)
    tls: Tls | None = None
    inbox_prefix: str = INBOX_PREFIX
    api_prefix: str = API_PREFIX

    @classmethod
    def of(cls, url: str, *, source: str = "given", setting: str = "servers") -> Self:
        """
        Return the address of comma-separated URLs.

        Raises:
            InvalidSettingError: One is no NATS URL.
        """
        parts = [part.strip() for part in url.split(",") if part.strip()]
        if not parts:
            raise _invalid(setting)
        servers = tuple(ServerUrl.parse(part, setting) for part in parts)
        tls = Tls() if any(server.scheme == "tls" for server in servers) else None
        return cls(servers=servers, source=source, tls=tls)

    def __str__(self) -> str:
        """Return the URLs without their user parts, and the source."""
        return f"{','.join(map(str, self.servers))} ({self.source})"


def find_address(
    settings: ConnectionSettings,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    use_selected: bool = True,  # noqa: ARG001
) -> Address:
    """
    Return the nearest address.

    Args:
        settings: What the caller says.
        environ: The environment; None is the process's.
        folder: The working directory; None is the process's.
        use_selected: Whether a NATS context counts that nothing names but ``nats context select``.

    Raises:
        InvalidSettingError: A URL is none.
        NatsContextError: A context is missing, broken, or asks for what jetq cannot do.
    """
    env = os.environ if environ is None else environ
    if settings.servers is not None:
        return Address.of(settings.servers, source="as given")
    for variable in ("JETQ_NATS_URL", "NATS_URL"):
        if env.get(variable):
            return Address.of(env[variable], source=variable, setting=variable)
    return _announced(folder or Path.cwd()) or Address.of(DEFAULT_SERVER, source="the default")


def _announced(folder: Path) -> Address | None:
    """Return the address that an embedded server left in the folder, if it still runs."""
    file = folder / STATE_FOLDER / "server.json"
    try:
        said = json.loads(file.read_bytes())
        os.kill(int(said["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return Address.of(said["url"], source=str(file))
