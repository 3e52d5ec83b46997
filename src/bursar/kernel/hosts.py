"""Hosts, as addresses name them."""

from ipaddress import ip_address


def is_here(host: str) -> bool:
    """Tell whether a host is this machine: a loopback address, or `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
