"""
signing: keys as options give them, and what a task's signature is worth.
"""

from dataclasses import replace
from pathlib import Path
from string import hexdigits
from typing import Final

from jetq.app.application import App
from jetq.model.signing import SigningSettings
from jetq.model.signing_key import parse_key
from jetq.settings import Settings
from jetq.wire.codec import Document
from jetq.wire.signature import Verifier

_PATH_AT_MOST: Final = 20
"""Hexadecimal digits that may still name a file; more are a key, and must not be shown as a file that is missing."""


def with_keys(
    settings: Settings, *, sign: str | None = None, verify: list[str] | None = None, optional: bool = False
) -> Settings:
    """
    Return the settings with the keys of the command line, each a key or a file, in place of those that they replace.

    Raises:
        UnusableCredentialsError: A key is none.
        InvalidSettingError: Optional signatures without a verification key.
    """
    signing = settings.signing
    if sign is not None:
        key, file = _key_or_file("--sign", sign)
        signing = replace(signing, key=key, key_file=file)
    if verify:
        given = [_key_or_file("--verify", value) for value in verify]
        signing = replace(
            signing,
            verify=[key for key, _ in given if key is not None],
            verify_files=[file for _, file in given if file is not None],
            optional=optional,
        )
    elif optional:
        signing = replace(signing, optional=True)
    return settings if signing is settings.signing else replace(settings, signing=signing)


def trust(app: App, verify: list[str] | None, *, optional: bool) -> None:
    """
    Let the workers of an application trust the keys of the command line.

    Raises:
        UnusableCredentialsError: A key is none.
        InvalidSettingError: Optional signatures without a verification key.
    """
    settings = with_keys(app.settings, verify=verify, optional=optional)
    if settings is not app.settings:
        app.reconfigure(settings)


def _key_or_file(option: str, value: str) -> tuple[str, None] | tuple[None, str]:
    """Tell a key from a file. What looks like a key and is none is refused here, without showing it."""
    looks_like_key = len(value) > _PATH_AT_MOST and set(value.strip()) <= set(hexdigits)
    if looks_like_key and not Path(value).exists():
        parse_key(option, value)
        return value, None
    return None, value


def describe_signature(document: Document, settings: SigningSettings) -> str:
    """
    Say what a task's signature is worth, as far as the keys tell.

    It is nothing for a task without signature that nobody asks to have one.

    Raises:
        UnusableCredentialsError: A key cannot be read, or is none.
    """
    verifier = Verifier.of(settings)
    signed = bool(document.record.signature)
    if verifier is None:
        return "there, not verified: no key (--verify, JETQ_VERIFY_KEYS)" if signed else ""
    complaint = verifier.check(document)
    if complaint is not None:
        return f"refused: {complaint}"
    return "verified" if signed else "none, and none is needed"
