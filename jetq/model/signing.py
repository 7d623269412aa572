"""
signing: who signs tasks, and whose signatures count, as applications and the environment say it.

Keys are checked where they are said; files are read later, by who needs them (`wire.signature`), and remember until
then which variable named them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

from jetq.errors import InvalidSettingError
from jetq.model.signing_key import parse_key


@runtime_checkable
class PathLike(Protocol):
    """What names a file, such as ``pathlib.Path``."""

    def __fspath__(self) -> str:
        """Return the path."""
        ...


class KeyFile(str):
    """
    The path of a key file, which knows who named it.

    Attributes:
        place: The path and the variable, for errors.
    """

    __slots__ = ("place",)

    place: str

    @classmethod
    def named_by(cls, variable: str, path: str) -> Self:
        """Return a path that a variable of the environment gave."""
        file = cls(path)
        file.place = f"{path} ({variable})"
        return file


@dataclass(frozen=True, kw_only=True)
class SigningSettings:
    """
    Who signs tasks, and whose signatures a worker trusts. Keys are Ed25519, in hexadecimal, as asyncjobs has them.

    Attributes:
        key: The 32-byte seed that signs every task that is enqueued here; None signs nothing.
        key_file: A file that holds the seed, in place of *key*.
        verify: Public keys. With any, a worker ends tasks that none of them signed; several let keys be rotated.
        verify_files: Files that hold a public key each; they count like those of *verify*.
        optional: Run unsigned tasks too; a wrong signature is refused all the same.
    """

    key: str | None = field(default=None, repr=False)
    key_file: str | PathLike | None = None
    verify: Sequence[str] = ()
    verify_files: Sequence[str | PathLike] = ()
    optional: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without reading a file."""
        for name in ("verify", "verify_files"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str | PathLike) else tuple(value))
        if self.key is not None:
            parse_key("SigningSettings.key", self.key)
            if self.key_file is not None:
                raise InvalidSettingError("key_file", str(self.key_file), "absent when key is given: choose one")
        for place, key in enumerate(self.verify):
            parse_key(f"SigningSettings.verify[{place}]", key)
        if self.optional and not self.verify and not self.verify_files:
            raise InvalidSettingError("optional", value=True, wanted="False without verification keys")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """
        Return what the environment says; an empty variable is as good as none.

        ``JETQ_SIGNING_KEY`` or ``JETQ_SIGNING_KEY_FILE``; ``JETQ_VERIFY_KEYS`` and ``JETQ_VERIFY_KEY_FILES`` with
        commas between several; ``JETQ_SIGNATURES_OPTIONAL``, 1 or 0.

        Raises:
            ConfigurationError: A key is none, or two variables contradict each other; it names one.
        """
        key, file = (environ.get(name) or None for name in ("JETQ_SIGNING_KEY", "JETQ_SIGNING_KEY_FILE"))
        verify, files = (_listed(name, environ) for name in ("JETQ_VERIFY_KEYS", "JETQ_VERIFY_KEY_FILES"))
        for variable, keys in (("JETQ_SIGNING_KEY", (key,) if key else ()), ("JETQ_VERIFY_KEYS", verify)):
            for each in keys:
                parse_key(variable, each)
        optional = environ.get("JETQ_SIGNATURES_OPTIONAL") or "0"
        if optional not in ({"0", "1"} if verify or files else {"0"}):
            raise InvalidSettingError("JETQ_SIGNATURES_OPTIONAL", optional, "0, or 1 beside verification keys")
        if key and file:
            raise InvalidSettingError("JETQ_SIGNING_KEY_FILE", file, "absent beside JETQ_SIGNING_KEY: choose one")
        return cls(
            key=key,
            key_file=KeyFile.named_by("JETQ_SIGNING_KEY_FILE", file) if file else None,
            verify=verify,
            verify_files=[KeyFile.named_by("JETQ_VERIFY_KEY_FILES", each) for each in files],
            optional=optional == "1",
        )


def _listed(variable: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read a variable of several values; one that was set and holds none is a slip that must not pass."""
    text = environ.get(variable, "")
    values = tuple(value.strip() for value in text.split(",") if value.strip())
    if text and not values:
        raise InvalidSettingError(variable, text, "a list with commas between its values, or empty")
    return values
