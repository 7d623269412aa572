"""
address: where the server is, and who we are there.

The nearest answer wins: what the caller says, then ``JETQ_CONTEXT``, ``JETQ_NATS_URL``, ``NATS_CONTEXT``,
``NATS_URL``, an embedded server that runs in this folder, the selected NATS context, and at last this machine.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct

from jetq.errors import InvalidSettingError
from jetq.jetstream.contexts import load_context, selected_context
from jetq.jetstream.credentials import Credentials
from jetq.jetstream.secret import Secret
from jetq.jetstream.tls import Tls
from jetq.settings import DEFAULT_SERVER, STATE_FOLDER, ConnectionSettings

API_PREFIX: Final = "$JS.API"
INBOX_PREFIX: Final = "_INBOX"
ANNOUNCEMENT: Final = "server.json"
"""File in `settings.STATE_FOLDER` that an embedded server leaves for as long as it runs."""
_PORT: Final = 4222


class _Announcement(Struct):
    url: str
    pid: int


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
    use_selected: bool = True,
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
        UnusableCredentialsError: nsc cannot say who a context means.
    """
    env = os.environ if environ is None else environ
    if settings.servers is not None:
        return Address.of(settings.servers, source="as given")
    if settings.context is not None:
        return _in_context(settings.context, env, f"NATS context {settings.context!r}")
    for variable, is_url in (
        ("JETQ_CONTEXT", False),
        ("JETQ_NATS_URL", True),
        ("NATS_CONTEXT", False),
        ("NATS_URL", True),
    ):
        value = env.get(variable)
        if value:
            source = f"NATS context {value!r}, from {variable}"
            return Address.of(value, source=variable, setting=variable) if is_url else _in_context(value, env, source)
    announced = _announced(folder or Path.cwd())
    if announced is not None:
        return announced
    selected = selected_context(env) if use_selected else None
    if selected is not None:
        return _in_context(selected, env, f"the selected NATS context {selected!r}")
    return Address.of(DEFAULT_SERVER, source="the default")


def _in_context(name: str, environ: Mapping[str, str], source: str) -> Address:
    said = load_context(name, environ)
    address = Address.of(said.url or DEFAULT_SERVER, source=source, setting=f"the url of {source}")
    return replace(
        address,
        credentials=said.credentials,
        tls=said.tls or address.tls,
        inbox_prefix=said.inbox_prefix or INBOX_PREFIX,
        api_prefix=said.api_prefix or API_PREFIX,
    )


def _announced(folder: Path) -> Address | None:
    """Return the address that an embedded server left in the folder, if it still runs."""
    file = folder / STATE_FOLDER / ANNOUNCEMENT
    try:
        ours = sys.platform == "win32" or file.stat().st_uid in (os.getuid(), 0)
        said = msgspec.json.decode(file.read_bytes(), type=_Announcement)
    except (OSError, msgspec.MsgspecError):
        return None
    return Address.of(said.url, source=str(file)) if ours and _is_alive(said.pid) else None


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # signal 0 is Ctrl-C there
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
