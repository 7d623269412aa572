"""
nsc: asks NATS' own credential tool who we are.
"""

import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from jetq.errors import UnusableCredentialsError

_SCHEME: Final = "nsc://"
_TIMEOUT: Final = 10.0


class _Operator(Struct):
    service: list[str] = []


class Profile(Struct):
    """
    What nsc knows of a user.

    Attributes:
        user_creds: Path of the creds file.
        operator: With its service URLs.
    """

    user_creds: str = ""
    operator: _Operator = msgspec.field(default_factory=_Operator)


def find_profile(user: str, environ: Mapping[str, str]) -> Profile:
    """
    Run ``nsc generate profile``.

    Args:
        user: ``operator/account/user``, with or without ``nsc://``.
        environ: The environment that nsc gets.

    Raises:
        UnusableCredentialsError: There is no nsc, or it knows no such user.
    """
    reference = _SCHEME + (user[len(_SCHEME) :] if user.lower().startswith(_SCHEME) else user)
    program = shutil.which("nsc", path=environ.get("PATH"))
    if program is None:
        raise UnusableCredentialsError(reference, "the program nsc is not in the PATH")
    try:
        run = subprocess.run(  # noqa: S603 - the context asks for it
            [program, "generate", "profile", reference],
            env=dict(environ),
            capture_output=True,
            check=True,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
        profile = msgspec.json.decode(run.stdout, type=Profile)
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.decode(errors="replace").strip().splitlines()
        raise UnusableCredentialsError(reference, f"nsc failed: {said[-1] if said else failed.returncode}") from None
    except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError) as error:
        raise UnusableCredentialsError(reference, f"nsc failed: {type(error).__name__}") from None
    if not profile.user_creds:
        raise UnusableCredentialsError(reference, "nsc named no creds file")
    return profile
