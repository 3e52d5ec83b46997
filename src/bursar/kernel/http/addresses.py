"""From where a request comes: the peer of the connection, or what our own proxies say of it.

A header is believed only as far as a trusted proxy wrote it. Proxies append on the right, strangers write on the left;
so the header is read from the right, and the first address that is no trusted proxy is the client's. Only one header
is read, the one that the proxies are known to write: another one passes through them as a stranger sent it.

Source: RFC 7239 "Forwarded HTTP Extension"; section 5.2 for what may stand instead of an address.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.types import Scope

from bursar.kernel.settings import Settings

UNKNOWN: Final = ""
"""The address of a peer that has none, as on a Unix socket."""

HOPS_MAX: Final = 32
"""Proxies in a row that are followed; behind them the last one stands for the client."""

_SUBSCRIBER_BITS: Final = 64
_FORWARDED: Final = "forwarded"
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"\\]*)"|([^";\s]+))\s*(?:;|$)', re.IGNORECASE | re.ASCII)
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.%\w]+)\](?::\d{1,5})?|(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}", re.ASCII)
_LENGTH_MAX: Final = 64

Network = IPv4Network | IPv6Network


def client_address(scope: Scope, settings: Settings) -> str:
    """Return the address of whoever asks, in its one normal form; UNKNOWN where the connection has none."""
    client = scope.get("client")
    peer = normal(client[0]) if client else UNKNOWN
    if not settings.trusted_proxies or not _is_trusted(peer, settings.trusted_proxies):
        return peer
    nearest = peer
    for hop, text in enumerate(_told(scope, settings.forwarded_header)):
        address = normal(text)
        if address == UNKNOWN or hop >= HOPS_MAX:
            return nearest
        if not _is_trusted(address, settings.trusted_proxies):
            return address
        nearest = address
    return nearest


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 that a subscriber has of IPv6."""
    if ":" not in address:
        return address
    return str(IPv6Network((address, _SUBSCRIBER_BITS), strict=False))


def normal(text: str) -> str:
    """Return an address in its one normal form: no port, brackets or zone, IPv4 as such. UNKNOWN if it is none."""
    text = text.strip()
    return _normal(text) if len(text) <= _LENGTH_MAX else UNKNOWN


@lru_cache(maxsize=4096)
def _normal(text: str) -> str:
    if bare := _WITH_PORT.fullmatch(text):
        text = bare[1] or bare[2]
    try:
        found: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return UNKNOWN
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


@lru_cache(maxsize=64)
def networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a list with commas. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


@lru_cache(maxsize=4096)
def _is_trusted(address: str, trusted: str) -> bool:
    if address == UNKNOWN:
        return False
    found = ip_address(address)
    return any(found in network for network in networks(trusted))


def _told(scope: Scope, header: str) -> Iterator[str]:
    """Yield the addresses that the header tells, the last one first; what is not understood as an empty text.

    Commas are taken as they stand, even between quotes: no address has one, and a quote that a stranger left open
    must not swallow what a proxy appended.
    """
    name = header.encode()
    for value in reversed([value for key, value in scope["headers"] if key == name]):
        for part in reversed(value.decode("latin-1").split(",")):
            if header != _FORWARDED:
                yield part
            else:
                found = _FOR.search(part)
                yield (found[1] or found[2] or "") if found else ""
