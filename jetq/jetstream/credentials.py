"""
credentials: who we are, as the server wants to hear it.

They are read anew for every connection attempt, so that rotated ones are found without a restart.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final

from nats.aio.client import RawCredentials

from jetq.errors import UnusableCredentialsError
from jetq.jetstream.secret import Secret

_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\s+(\S+)\s+-+END NATS USER JWT-+")
_SEED: Final = re.compile(r"-+BEGIN USER NKEY SEED-+\s+(\S+)\s+-+END USER NKEY SEED-+")
_SEED_BYTES: Final = 36
_CREDS: Final = """\
-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------
-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """
    What identifies us; the first complete way of user and password, creds, nkey, and JWT is used.

    Attributes:
        user, password: Together.
        token: Sent beside any other.
        creds: The text of a creds file: a user JWT and its seed.
        nkey: A user's seed, bare or decorated.
        jwt, seed: A user JWT and its seed; without a seed the JWT must be a bearer token.
    """

    user: Secret | None = None
    password: Secret | None = None
    token: Secret | None = None
    creds: Secret | None = None
    nkey: Secret | None = None
    jwt: Secret | None = None
    seed: Secret | None = None

    def options(self) -> dict[str, Any]:
        """
        Return the options of nats-py's connect, with the secrets as they are now.

        Raises:
            UnusableCredentialsError: One cannot be read, or is not what it should be.
        """
        options: dict[str, Any] = {}
        if self.token is not None:
            options["token"] = self.token.read()
        if self.user is not None:
            options["user"] = self.user.read()
            options["password"] = "" if self.password is None else self.password.read()
        elif self.creds is not None:
            options["user_credentials"] = _parse_creds(self.creds)
        elif self.nkey is not None:
            options["nkeys_seed_str"] = _bare_seed(self.nkey)
        elif self.jwt is not None:
            options |= _jwt_options(self.jwt, self.seed)
        return options


def _jwt_options(jwt: Secret, seed: Secret | None) -> dict[str, Any]:
    text = jwt.read().strip()
    if seed is not None:
        key = _user_seed(seed.read(), seed.place)
        return {"user_credentials": RawCredentials(_CREDS.format(jwt=text, seed=key))}
    return {"user_jwt_cb": text.encode, "signature_cb": _no_signature}


def _no_signature(_nonce: str) -> bytes:
    return b""


def _parse_creds(creds: Secret) -> RawCredentials:
    text = creds.read()
    jwt, seed = _JWT.search(text), _SEED.search(text)
    if jwt is None or seed is None:
        raise UnusableCredentialsError(creds.place, "they hold no user JWT with its seed")
    key = _user_seed(seed[1], creds.place)
    return RawCredentials(_CREDS.format(jwt=jwt[1], seed=key))


def _bare_seed(nkey: Secret) -> str:
    """Return the seed of an nkey file: the decorated one, or the first line that begins like one."""
    text = nkey.read()
    decorated = _SEED.search(text)
    lines = [line.strip() for line in text.splitlines()]
    return _user_seed(decorated[1] if decorated else next((line for line in lines if line[:2] == "SU"), ""), nkey.place)


def _user_seed(text: str, place: str) -> str:
    """Return the seed of a user, which ends in a checksum; nats-py would fail later and less clearly."""
    seed = text.strip()
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except ValueError:
        raw = b""
    if (
        not seed.startswith("SU")
        or len(raw) != _SEED_BYTES
        or raw[-2:] != binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little")
    ):
        raise UnusableCredentialsError(place, "that is no seed of a user")
    return seed
