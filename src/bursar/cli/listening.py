"""The address the API listens on."""

import http.client
import socket
import urllib.error
import urllib.request

from bursar.cli.options import tell
from bursar.kernel.errors import Conflict

_NEXT_MAX = 50
_BACKLOG = 2048
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A proxy of the environment cannot reach what listens on this machine."""


class PortTaken(Conflict):
    """Somebody else listens on the port that was asked for, or it may not be used."""

    code = "port_taken"


def listen(host: str, port: int, *, fixed: bool, quiet: bool = False) -> socket.socket:
    """Return a listening socket. A port nobody chose gives way to the next free one. Raises: PortTaken."""
    for candidate in [port] if fixed else range(port, min(port + _NEXT_MAX, 65_536)):
        try:
            bound = _bound(host, candidate)
        except OSError as error:
            reason = error
            continue
        if candidate != port and not quiet:
            tell(f"port {port} is taken; using {candidate}")
        return bound
    raise PortTaken(
        f"port {port} of {host} cannot be used: {reason.strerror}", hint="Choose another one with --port."
    ) from reason


def base_url(host: str, port: int) -> str:
    """Return the address at which this machine reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - translated
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def answer_of(url: str) -> tuple[int, str]:
    """Return the status and the beginning of the body of a page; status 0 when nobody answers."""
    try:
        with _DIRECT.open(url, timeout=2) as response:
            return response.status, response.read(400).decode(errors="replace")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(400).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made
