"""Where a channel leads: what kind its address is, whether it may be used, and what people see of it."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.hosts import Network, is_permitted, literal

ChannelKind = Literal["email", "slack", "pagerduty", "sms", "webhook"]

URL_LENGTH_MAX: Final = 1000
PLUGINS: Final[dict[ChannelKind, tuple[str, ...]]] = {
    "slack": ("NotifySlack",),
    "pagerduty": ("NotifyPagerDuty",),
    "sms": ("NotifyTwilio", "NotifyVonage", "NotifyMessageBird", "NotifyClickSend", "NotifyPlivo", "NotifySinch"),
}
"""Services that apprise knows and that are at hosts of their own: no address of theirs leads anywhere else."""
_SLACK: Final = "https://hooks.slack.com/"
_EMAIL: Final = re.compile(r"[^@\s,;:/<>\"()]{1,64}@[^@\s,;:/<>\"()]{1,189}", re.ASCII)


class ChannelAddressInvalid(Invalid):
    """A channel's address is none that notices can be sent to."""

    code = "alert_channel_address_invalid"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send. url: as it was given, without spaces around it. shown: what people see of it: never the secret in it."""

    kind: ChannelKind
    url: str
    shown: str


def target_of(url: str, *, permitted: Sequence[Network]) -> Target:
    """Return what an address of a business leads to. Loads apprise. Raises ChannelAddressInvalid.

    permitted: networks that are not public in which webhooks may be; there also without TLS.
    """
    url = url.strip()
    if not 1 <= len(url) <= URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _invalid("this is not an address")
    if is_web(url):
        host, _, is_plain = web_address(url, permitted)
        return Target("webhook", url, f"{'http' if is_plain else 'https'}://{host}/…")
    if url.lower().startswith("mailto:"):
        return _email(url)
    found = plugin(url)
    name = type(found).__name__
    for kind, names in PLUGINS.items():
        if name in names:
            return Target(kind, url, masked(found))
    raise _invalid("this is none of the services that notices can be sent to")


def web_address(url: str, permitted: Sequence[Network]) -> tuple[str, int, bool]:
    """Return host, port and whether it is without TLS, as far as the text says that it may be called. Raises ChannelAddressInvalid."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _invalid("this is not an address") from error
    if not host or "@" in parts.netloc or parts.fragment:
        raise _invalid("a webhook is an https address without credentials and fragment")
    is_plain = parts.scheme == "http"
    if is_plain and not permitted:
        raise _invalid("a webhook is called over https")
    written = literal(host)
    if written is not None and not is_permitted(written, permitted):
        raise ChannelAddressInvalid(
            "a webhook is not inside a private network",
            hint="Whoever runs the installation may allow it with BURSAR_ALERT_NETWORKS.",
            fields=(FieldError("url", "address_private", "it leads into a private network"),),
        )
    return host, port or (80 if is_plain else 443), is_plain


def is_web(url: str) -> bool:
    """Tell whether notices are posted to an address as they are. Slack's own webhooks have a form of their own."""
    return url.lower().startswith(("https://", "http://")) and not url.lower().startswith(_SLACK)


def email_of(url: str) -> str:
    """Return the address in `mailto:…`."""
    return url.partition(":")[2].removeprefix("//").partition("?")[0]


def plugin(url: str) -> Any:
    """Return apprise's own object for an address, or None where it knows none."""
    asset = _asset()
    return library().Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def masked(found: Any) -> str:
    """Return what may be shown of an address that apprise reads."""
    return str(found.url(privacy=True)).partition("?")[0][:200]


def _email(url: str) -> Target:
    address = email_of(url)
    if not _EMAIL.fullmatch(address):
        raise _invalid("this is not an e-mail address")
    name, _, host = address.partition("@")
    return Target("email", f"mailto:{address}", f"{name[0]}…@{host}")


def _invalid(what: str) -> ChannelAddressInvalid:
    return ChannelAddressInvalid(
        what,
        hint="For instance mailto:ops@example.org, https://example.org/hook, slack://…, pagerduty://…, twilio://….",
        fields=(FieldError("url", "address_invalid", what),),
    )


@cache
def library() -> Any:
    """Return apprise, with the services that it knows."""
    with warnings.catch_warnings():  # of Python 3.11, about a module which it still has
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise  # noqa: PLC0415 - it takes a second, and most processes never send anything

        known: Any = apprise.plugins.N_MGR
        known.load_modules()
    return apprise


@cache
def _asset() -> Any:
    # Nothing of ours is written to disk by it, and it says who sends.
    return library().AppriseAsset(app_id="Bursar", app_desc="Bursar alerts", app_url="", storage_mode="memory")
