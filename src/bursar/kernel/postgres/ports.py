"""Ports of this machine's loopback address."""

import secrets
import socket

_FROM, _TO = 20_000, 32_000
"""Below the range from which Linux takes the local ports of outgoing connections."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen here now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port on which nobody listens, chosen at random so that two starting servers rarely meet."""
    while True:
        port = _FROM + secrets.randbelow(_TO - _FROM)
        if is_free(port):
            return port
