"""Hosts, as addresses name them, and which of them a stranger may let us call."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

_NOT_PUBLIC: Final = tuple(
    ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "192.88.99.0/24")
)
"""Networks that look public and lead on to whatever address is written inside theirs."""


def is_here(host: str) -> bool:
    """Tell whether a host is this machine: a loopback address, or `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_permitted(address: IPv4Address | IPv6Address, permitted: Sequence[Network]) -> bool:
    """Tell whether an address that a stranger named may be called: a public one, or one of a permitted network."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = mapped or address
    if any(address in network for network in permitted):
        return True
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is written as; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
