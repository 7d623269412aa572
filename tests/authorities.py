"""
Who vouches for whom: operators, accounts and users of NATS, with their JWTs.

They are made anew for each test; nothing of them is a secret.
"""

import base64
import hashlib
import json
import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import nkeys

NO_JETSTREAM = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
UNLIMITED = NO_JETSTREAM | dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)


class Key(NamedTuple):
    """A key pair of NATS."""

    seed: str
    public: str

    @classmethod
    def make(cls, prefix: int) -> "Key":
        seed = nkeys.encode_seed(os.urandom(32), prefix)
        return cls(seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())

    def vouch(self, subject: str, claims: dict[str, Any], *, lifetime: float | None = None) -> str:
        """Return a JWT about *subject*, signed by this key."""
        now = int(time.time())
        body: dict[str, Any] = {"iat": now, "iss": self.public, "name": subject[:8], "sub": subject, "nats": claims}
        if lifetime is not None:
            body["exp"] = int(time.time() + lifetime)
        digest = hashlib.new("sha512_256", json.dumps(body).encode()).digest()
        body["jti"] = base64.b32encode(digest).decode().rstrip("=")
        signed = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(body)}"
        signature = nkeys.from_seed(bytearray(self.seed.encode())).sign(signed.encode())
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def user_key() -> Key:
    """Return the key of a new user."""
    return Key.make(nkeys.PREFIX_BYTE_USER)


class Operator:
    """An operator with one account that has JetStream."""

    def __init__(self) -> None:
        self.key = Key.make(nkeys.PREFIX_BYTE_OPERATOR)
        self.account = Key.make(nkeys.PREFIX_BYTE_ACCOUNT)
        self.system = Key.make(nkeys.PREFIX_BYTE_ACCOUNT)
        self._jwt = self.key.vouch(self.key.public, {"type": "operator", "version": 2})  # no reload may change it

    def configuration(self, *, revoked: Sequence[str] = ()) -> str:
        """Return what makes a server trust this operator, and none of the *revoked* users of the account."""
        claims: dict[str, Any] = {"type": "account", "version": 2, "limits": UNLIMITED}
        claims["revocations"] = dict.fromkeys(revoked, int(time.time()))
        account = self.key.vouch(self.account.public, claims)
        system = self.key.vouch(self.system.public, {"type": "account", "version": 2, "limits": NO_JETSTREAM})
        preload = f"{self.account.public}: {account}, {self.system.public}: {system}"
        known = f"resolver: MEMORY\nresolver_preload: {{ {preload} }}"
        return f"operator: {self._jwt}\nsystem_account: {self.system.public}\n{known}"

    def user(self, key: Key, *, lifetime: float | None = None, bearer: bool = False) -> str:
        """Return the JWT of a user of the account."""
        claims = {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "bearer_token": bearer}
        return self.account.vouch(key.public, claims, lifetime=lifetime)

    def creds(self, *, lifetime: float | None = None) -> str:
        """Return the text of a creds file of a new user."""
        key = user_key()
        return creds_text(self.user(key, lifetime=lifetime), key.seed)


def creds_text(jwt: str, seed: str) -> str:
    """Return the text of a creds file, as nsc writes it."""
    return f"""\
-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------

*************************************************************
"""
