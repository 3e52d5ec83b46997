"""Where an account's gateway may be, when it is not at the gateway's own address.

Whoever names an address lets our own processes talk to it with a key, so it is checked before it is kept and
again before it is used. In production no address can be named at all: the gateways' own are the only ones.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.hosts import is_here

BASE_URL_LENGTH_MAX: Final = 255
_EXAMPLE: Final = "For instance http://127.0.0.1:8421, or https://test.dodopayments.com."


class BaseUrlInvalid(Invalid):
    """A gateway's address is http(s) to this machine, or https to a public one; in production none can be named."""

    code = "base_url_invalid"


def check_base_url(url: str, *, gateway_name: str, is_production: bool) -> str:
    """Return the address without a slash at its end. Raises BaseUrlInvalid."""
    if is_production:
        raise _refused("a production installation calls gateways at their own addresses", "Leave base_url out.")
    if gateway_name == "manual":
        raise _refused("the desk is at no address", "Leave base_url out.")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise _refused("this is not an address", _EXAMPLE) from error
    is_plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if not host or not is_plain or len(url) > BASE_URL_LENGTH_MAX or parts.scheme not in ("http", "https"):
        raise _refused("a gateway's address begins with http:// or https://", _EXAMPLE)
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise _refused("a gateway's address has no credentials, query or fragment", _EXAMPLE)
    if parts.scheme == "http" and not is_here(host):
        raise _refused("plain http goes to this machine only", "Use https.")
    if not is_here(host) and not _is_public(host):
        raise _refused("a gateway is not inside a private network", _EXAMPLE)
    return url.rstrip("/")


def _is_public(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        # A name: of one label, or all digits and dots as old resolvers read them, it is not a public one.
        labels = host.rstrip(".").split(".")
        return (
            len(labels) > 1 and not labels[-1][0:1].isdigit() and labels[-1] not in ("local", "internal", "localhost")
        )
    return address.is_global and not address.is_multicast


def _refused(what: str, hint: str) -> BaseUrlInvalid:
    return BaseUrlInvalid(what, hint=hint, fields=(FieldError("base_url", "invalid", what),))
