"""
secret: a secret, and where it stands.

It is read anew whenever it is needed, so that rotated credentials are found without a restart. It shows in no repr,
log line or error: those name the place. It can be pickled, as the address that holds it goes to a worker's processes.
"""

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from jetq.errors import UnusableCredentialsError


class Secret:
    """
    A secret and where it stands.

    Args:
        place: As errors name it, for example a file.
        read: Returns it as it is now.
    """

    __slots__ = ("_read", "place")

    def __init__(self, place: str, read: Callable[[], str]) -> None:
        self.place = place
        self._read = read

    @classmethod
    def of(cls, value: str, place: str) -> "Secret":
        """Return a secret that is known already."""
        return cls(place, partial(str, value))

    @classmethod
    def in_file(cls, path: str) -> "Secret":
        """Return the content of a file."""
        return cls(path, partial(_read_file, path))

    @classmethod
    def in_variable(cls, name: str, environ: Mapping[str, str]) -> "Secret":
        """Return the value of a variable of the environment."""
        return cls(f"env://{name}", partial(_read_variable, name, None if environ is os.environ else environ))

    @classmethod
    def in_data(cls, reference: str, place: str) -> "Secret":
        """
        Return what a ``data:;base64,...`` reference holds.

        Raises:
            UnusableCredentialsError: It is none.
        """
        header, comma, payload = reference.partition(",")
        if not comma or "base64" not in [part.strip() for part in header.split(";")]:
            raise UnusableCredentialsError(place, "a data: reference must read data:;base64,...")
        try:
            value = base64.b64decode(payload, validate=True).decode().rstrip("\r\n")
        except (binascii.Error, UnicodeDecodeError):
            raise UnusableCredentialsError(place, "its data: reference is no base64 of text") from None
        return cls.of(value, place)

    def read(self) -> str:
        """
        Return the secret as it is now.

        Raises:
            UnusableCredentialsError: It cannot be read.
        """
        return self._read()

    def __repr__(self) -> str:
        """Name the place alone."""
        return f"<secret in {self.place}>"


def _read_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UnusableCredentialsError(path, "it is no text") from None
    except OSError as error:
        raise UnusableCredentialsError(path, (error.strerror or "it cannot be read").lower()) from None


def _read_variable(name: str, environ: Mapping[str, str] | None) -> str:
    """Return a variable of *environ*; None is the environment of the process, whichever process that is by then."""
    value = (os.environ if environ is None else environ).get(name)
    if not value:
        raise UnusableCredentialsError(f"env://{name}", f"the variable {name} is not set")
    return value.rstrip("\r\n")
