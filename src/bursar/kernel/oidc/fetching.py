"""Fetch a small JSON document from an address that a business named: a stranger's address, as far as we are concerned.

The name is resolved here, every address it has must be permitted, and the connection goes to the one that was looked
at; so a name that points elsewhere a moment later leads nowhere else. No redirect is followed, no proxy asked.

Source: OWASP "Server-Side Request Forgery Prevention".
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from bursar.kernel.errors import Invalid, Unavailable
from bursar.kernel.hosts import Network, is_permitted, literal
from bursar.kernel.http.bodies import JsonInvalid, parse_json

CONNECT_S: Final = 3.0
READ_S: Final = 5.0
WHOLE_S: Final = 8.0
BYTES_MAX: Final = 262_144
URL_LENGTH_MAX: Final = 500
FRESH_S: Final = 600
_FRESH_S_MIN, _FRESH_S_MAX = 60, 86_400
_OK: Final = 200
_MAX_AGE = re.compile(r"max-age=(\d{1,9})", re.ASCII)


class IssuerUnavailable(Unavailable):
    """The identity provider did not answer, or not as it should. Who has a good token may try again."""

    code = "issuer_unavailable"


class IssuerAddressInvalid(Invalid):
    """An issuer is an https address without query, credentials or fragment, and not inside a private network."""

    code = "issuer_address_invalid"


@dataclass(frozen=True, slots=True)
class Fetched:
    """document: what it says. fresh_s: how long it may be used without asking again."""

    document: dict[str, Any]
    fresh_s: int


def check_address(url: str, permitted: Sequence[Network]) -> None:
    """Return if this may be asked, as far as its text says. Raises IssuerAddressInvalid.

    permitted: networks that are not public and may be asked all the same; of loopback ones also without TLS.
    """
    if "?" in url:
        raise _invalid("an issuer is an https address without credentials, query or fragment")
    _target(url, permitted)


async def fetch_json(url: str, *, permitted: Sequence[Network]) -> Fetched:
    """Return a JSON object and how long it is fresh. Raises IssuerAddressInvalid, IssuerUnavailable."""
    host, port, scheme = _target(url, permitted)
    try:
        async with asyncio.timeout(WHOLE_S):
            address = await _address_of(host, port, permitted, is_plain=scheme == "http")
            return await _fetched(url, address=address, host=host)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError, ssl.SSLError, JsonInvalid) as error:
        raise IssuerUnavailable(
            f"the identity provider does not answer as it should ({type(error).__name__})"
        ) from error


def _target(url: str, permitted: Sequence[Network]) -> tuple[str, int, str]:
    """Return host, port and scheme."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _invalid("this is not an address") from error
    is_plain_text = url.isascii() and url.isprintable() and " " not in url and len(url) <= URL_LENGTH_MAX
    if not host or not is_plain_text or "@" in parts.netloc or parts.fragment or "\\" in url:
        raise _invalid("an issuer is an https address without credentials, query or fragment")
    is_loopback = host == "localhost" or (literal(host) or IPv4Address(0)).is_loopback
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback and any(network.is_loopback for network in permitted)
    ):
        raise _invalid("an issuer is asked over https")
    written = literal(host)
    if written is not None and not is_permitted(written, permitted):
        raise _invalid("an issuer is not inside a private network")
    return host, port or (443 if parts.scheme == "https" else 80), parts.scheme


async def _address_of(host: str, port: int, permitted: Sequence[Network], *, is_plain: bool) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    for address in addresses:
        if not is_permitted(address, permitted) or (is_plain and not address.is_loopback):
            raise IssuerAddressInvalid(
                "the issuer's name leads into a private network",
                hint="Whoever runs the installation may allow it with BURSAR_ISSUER_NETWORKS.",
            )
    addresses.sort(key=lambda address: address.version)
    return str(addresses[0])


async def _fetched(url: str, *, address: str, host: str) -> Fetched:
    asked = httpx2.URL(url)
    timeout = httpx2.Timeout(READ_S, connect=CONNECT_S)
    headers = {"host": asked.netloc.decode("ascii"), "accept": "application/json", "accept-encoding": "identity"}
    async with (
        httpx2.AsyncClient(verify=_trusted(), trust_env=False, follow_redirects=False, timeout=timeout) as client,
        client.stream(
            "GET", asked.copy_with(host=address), headers=headers, extensions={"sni_hostname": host}
        ) as answer,
    ):
        if answer.status_code != _OK or answer.headers.get("content-encoding", "identity") != "identity":
            raise IssuerUnavailable(f"the identity provider answered {answer.status_code}")
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > BYTES_MAX:
                raise IssuerUnavailable(f"the identity provider answered more than {BYTES_MAX} bytes")
        document = parse_json(bytes(body))
        if not isinstance(document, dict):
            raise IssuerUnavailable("the identity provider answered something else than an object")
        return Fetched(document, _fresh_s(answer.headers.get("cache-control", "")))


def _fresh_s(cache_control: str) -> int:
    told = _MAX_AGE.search(cache_control)
    return min(max(int(told[1]), _FRESH_S_MIN), _FRESH_S_MAX) if told else FRESH_S


def _invalid(what: str) -> IssuerAddressInvalid:
    return IssuerAddressInvalid(what, hint="For instance https://login.example.org/realms/main.")


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()
