"""
signing_key: an Ed25519 key as people write it, 32 bytes in hexadecimal: a seed signs, a public key verifies.
"""

from typing import Final

from jetq.errors import UnusableCredentialsError

_BYTES: Final = 32
_WANTED: Final = f"a key has {2 * _BYTES} hexadecimal digits, for {_BYTES} bytes"


def parse_key(place: str, text: object) -> bytes:
    """
    Return the bytes of a key.

    Args:
        place: Where it stands, for the error, which never shows the key.
        text: The key; blanks and line ends around it are passed over.

    Raises:
        UnusableCredentialsError: It is none.
    """
    if not isinstance(text, str):
        raise UnusableCredentialsError(place, f"it is of type {type(text).__name__}, and {_WANTED}")
    digits = text.strip()
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        raise UnusableCredentialsError(place, f"it is not hexadecimal; {_WANTED}") from None
    if len(key) != _BYTES or len(digits) != 2 * _BYTES:
        raise UnusableCredentialsError(place, f"it has {len(digits)} characters; {_WANTED}")
    return key
