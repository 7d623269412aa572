"""
signature: signing a task, and telling whether one is signed.

The text that is signed holds times as nanoseconds since 1970, and those stand on the wire alone: the datetime in a
record has lost three digits of them. So the text is made of a document and not of a record.

A signature covers what a task is and not how it went: its id, queue, type, tries, creation, deadline and payload. It
holds for every record of the task, from the first to the last, as long as none of these changes.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from jetq.errors import UnusableCredentialsError
from jetq.model.signing import KeyFile, SigningSettings
from jetq.model.signing_key import parse_key
from jetq.wire.codec import Document

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION: Final = re.compile(r"\.(\d+)")
_SIGNATURE_DIGITS: Final = 128
_text: Final = msgspec.json.Decoder(str)


def signed_text(document: Document) -> bytes:
    """Return the bytes that an Ed25519 signature of the task is over, as asyncjobs spells them."""
    record = document.record
    deadline = 0 if record.deadline is None else _nanoseconds(document.fields["deadline"])
    created = _nanoseconds(document.fields["created"])
    payload = b64encode(record.payload or b"").decode()
    return f"{record.id}:{record.queue}:{record.type}:{record.max_tries}:{created}:{deadline}:{payload}".encode()


def _nanoseconds(moment: Raw | datetime) -> int:
    """Count from 1970 in 64 bits, as Go does: beyond 1678 and 2262 the number is another, and the same as Go's."""
    text = moment.isoformat() if isinstance(moment, datetime) else _text.decode(moment)
    fraction = _FRACTION.search(text)
    digits = fraction[1] if fraction else ""
    whole = datetime.fromisoformat(_FRACTION.sub("", text).upper())
    since = whole - _EPOCH
    count = (since.days * 86_400 + since.seconds) * 10**9 + int(digits[:9].ljust(9, "0"))
    return (count + 2**63) % 2**64 - 2**63


class Signer:
    """
    Signs tasks.

    Args:
        seed: The 32 bytes of the signing key.

    Attributes:
        public_key: What verifies its signatures, in hexadecimal.
    """

    __slots__ = ("_sign", "public_key")

    def __init__(self, seed: bytes) -> None:
        signing, _ = _nacl()
        key = signing.SigningKey(seed)
        self._sign: Callable[[bytes], Any] = key.sign
        self.public_key: str = bytes(key.verify_key).hex()

    @classmethod
    def of(cls, settings: SigningSettings) -> "Signer | None":
        """
        Return the signer that the settings ask for, if any.

        Raises:
            UnusableCredentialsError: The key is none or cannot be read, or PyNaCl is not installed.
        """
        if settings.key is not None:
            return cls(parse_key("SigningSettings.key", settings.key))
        return None if settings.key_file is None else cls(read_key(settings.key_file))

    def sign(self, document: Document) -> str:
        """Return the signature of the task, in hexadecimal."""
        signature: bytes = self._sign(signed_text(document)).signature
        return signature.hex()

    def signed(self, document: Document) -> Document:
        """Return the document with its signature."""
        return document.updated(replace(document.record, signature=self.sign(document)))


class Verifier:
    """
    Tells whether tasks are signed by somebody who is trusted.

    Args:
        keys: Public keys of 32 bytes; one of them must have signed.
        optional: A task without signature is as good; a wrong signature never is.
    """

    __slots__ = ("_bad", "_keys", "_optional")

    def __init__(self, keys: Sequence[bytes], *, optional: bool = False) -> None:
        signing, exceptions = _nacl()
        self._bad: type[Exception] = exceptions.BadSignatureError
        self._keys: list[Callable[[bytes, bytes], Any]] = [signing.VerifyKey(key).verify for key in keys]
        self._optional = optional

    @classmethod
    def of(cls, settings: SigningSettings) -> "Verifier | None":
        """
        Return the verifier that the settings ask for, if any.

        Raises:
            UnusableCredentialsError: A key is none or cannot be read, or PyNaCl is not installed.
        """
        keys = [parse_key(f"SigningSettings.verify[{place}]", key) for place, key in enumerate(settings.verify)]
        keys += [read_key(path) for path in settings.verify_files]
        return cls(keys, optional=settings.optional) if keys else None

    def check(self, document: Document) -> str | None:
        """Say why the task must not run, or None if it may. Never raises, whatever stands in the signature."""
        spelled = document.record.signature
        if not spelled:
            return None if self._optional else "the task is not signed, and this worker runs signed tasks only"
        try:
            signature = bytes.fromhex(spelled)
        except ValueError:
            return "the signature is not hexadecimal"
        if len(spelled) != _SIGNATURE_DIGITS or 2 * len(signature) != _SIGNATURE_DIGITS:
            return f"the signature has {len(spelled)} characters in place of {_SIGNATURE_DIGITS} digits"
        try:
            text = signed_text(document)
        except (ValueError, OverflowError):
            return "the times of the task cannot be counted in nanoseconds, so nobody can have signed them"
        for verify in self._keys:
            try:
                verify(text, signature)
            except self._bad:
                continue
            return None
        return "the signature is wrong: another key signed, or the task was changed after that"


def read_key(path: str | PathLike[str]) -> bytes:
    """
    Read a key from a file, which may end in a line break.

    Raises:
        UnusableCredentialsError: It cannot be read, or holds none.
    """
    place = path.place if isinstance(path, KeyFile) else fspath(path)
    try:
        return parse_key(place, Path(path).read_text(encoding="ascii"))
    except UnicodeDecodeError:
        raise UnusableCredentialsError(place, "it is no text") from None
    except OSError as error:
        raise UnusableCredentialsError(place, (error.strerror or "it cannot be read").lower()) from None


def new_seed() -> bytes:
    """Return a signing key that nobody has."""
    signing, _ = _nacl()
    return bytes(signing.SigningKey.generate())


def _nacl() -> tuple[ModuleType, ModuleType]:
    """
    Return PyNaCl's ``signing`` and ``exceptions``.

    Raises:
        UnusableCredentialsError: It is not installed.
    """
    try:
        from nacl import exceptions, signing  # noqa: PLC0415 - most processes neither sign nor verify
    except ImportError as missing:
        reason = "PyNaCl is not installed; install it with: pip install 'jetq-tasks[signing]'"
        raise UnusableCredentialsError("SigningSettings", reason) from missing
    return signing, exceptions
