"""
host_and_port: where something listens, as URLs spell it.
"""


def host_and_port(host: str, port: int) -> str:
    """Return ``host:port``, with an address of IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
