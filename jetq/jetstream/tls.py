"""
tls: how a connection is secured.
"""

import ssl
from dataclasses import dataclass

from jetq.errors import UnusableCredentialsError


@dataclass(frozen=True, kw_only=True)
class Tls:
    """
    Files and manners of TLS. That it is asked for means that a server without it is refused.

    Attributes:
        cert, key: Our certificate and its key, in PEM files; both or none.
        ca: Authorities that we trust, in a PEM file; None trusts the system's.
        first: Begin with TLS, before the server has said who it is.
    """

    cert: str | None = None
    key: str | None = None
    ca: str | None = None
    first: bool = False

    def context(self) -> ssl.SSLContext:
        """
        Read the files, as they are now, and return what nats-py needs.

        Raises:
            UnusableCredentialsError: A file cannot be read, or is no certificate or key.
        """
        place = self.ca or ""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                place = self.cert if self.key is None else f"{self.cert} and {self.key}"
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            reason = (
                "it holds no certificate, or no key that fits" if isinstance(error, ssl.SSLError) else error.strerror
            )
            raise UnusableCredentialsError(place, (reason or "it cannot be read").lower()) from None
        return context
