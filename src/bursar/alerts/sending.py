"""Send one notice by one way. Every way has a time limit; nothing here is done inside a transaction."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

import httpx2
import msgspec
import structlog

from bursar.alerts import addresses
from bursar.alerts.addresses import ChannelAddressInvalid, ChannelKind
from bursar.alerts.models import Severity, What
from bursar.kernel.errors import Unavailable
from bursar.kernel.hosts import Network, is_permitted
from bursar.kernel.http.addresses import networks
from bursar.kernel.mail import MailFailed, Message, mailer_of
from bursar.kernel.settings import Settings

WHOLE_S: Final = 15.0
_CONNECT_S: Final = 4.0
_READ_S: Final = 8.0
_TAKEN: Final = range(200, 300)
_GONE: Final = 410
_WORSE: Final[dict[Severity, str]] = {"critical": "failure", "high": "failure", "medium": "warning", "low": "info"}

_EVERYWHERE: Final = networks("0.0.0.0/0,::/0")

_log = structlog.get_logger("bursar.alerts")


class NoticeNotSent(Unavailable):
    """A notice was not taken. is_final: another attempt would be refused too."""

    code = "notice_not_sent"

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told. id: the notice's, the same in every attempt. alert: the alert's id, empty of a test. link: where to look."""

    id: str
    what: What
    alert: str
    rule: str
    title: str
    severity: Severity
    subject: str
    whose: str
    value: str
    occurrences: int
    detail: str
    advice: str
    runbook: str
    link: str
    first_seen_at: str

    @property
    def headline(self) -> str:
        """One line, which is all that a short message has."""
        word = {"opened": "", "came_back": "again: ", "reminded": "still: ", "resolved": "resolved: ", "test": "test: "}
        about = f" ({self.subject})" if self.subject else ""
        return f"[{self.severity}] {word[self.what]}{self.title}{about}, {self.whose}"

    @property
    def text(self) -> str:
        """The whole in plain text."""
        lines = [self.detail]
        if self.what not in ("resolved", "test"):
            lines += [
                "",
                f"Measured: {self.value}. Seen {self.occurrences:,} times since {self.first_seen_at}.",
                "",
                f"What to do: {self.advice}",
            ]
        lines += ["", f"Look: {self.link}" if self.link else "", f"Runbook: {self.runbook}" if self.runbook else ""]
        return "\n".join(lines).strip() + "\n"


async def send(
    kind: ChannelKind | None, url: str, notice: Notice, *, settings: Settings, is_ours: bool = False
) -> None:
    """Send a notice. Raises NoticeNotSent.

    kind: None: of whatever kind apprise reads. is_ours: the address is the installation's own, and may lead into any network.
    """
    try:
        async with asyncio.timeout(WHOLE_S):
            if kind == "email":
                await mailer_of(settings).send(Message(addresses.email_of(url), notice.headline, notice.text))
            elif kind == "webhook":
                await _post(url, notice, permitted=_EVERYWHERE if is_ours else networks(settings.alert_networks))
            else:
                await asyncio.to_thread(_by_apprise, url, notice)
    except TimeoutError as error:
        raise NoticeNotSent(f"no answer within {WHOLE_S:g} s") from error
    except MailFailed as error:
        raise NoticeNotSent(error.message, is_final=error.is_final) from error
    except ChannelAddressInvalid as error:
        raise NoticeNotSent(error.message) from error


async def send_to_any(urls: str, notice: Notice, *, settings: Settings) -> str:
    """Send a notice to the first of the settings' addresses that takes it; return what may be shown of that one.

    Raises NoticeNotSent where none takes it.
    """
    failures = []
    for number, url in enumerate(urls.split(), start=1):
        try:
            await send(kind_of(url), url, notice, settings=settings, is_ours=True)
        except NoticeNotSent as error:
            _log.warning("alert_address_failed", number=number, failure=error.message)
            failures.append(f"{number}: {error.message}")
        else:
            return f"address {number} of BURSAR_ALERT_URLS"
    raise NoticeNotSent("; ".join(failures)[:300] or "BURSAR_ALERT_URLS names no address")


def kind_of(url: str) -> ChannelKind | None:
    """Return what an address of the settings is, as far as it is sent to without apprise."""
    if url.lower().startswith("mailto:") and "/" not in addresses.email_of(url) and url.count("@") == 1:
        return "email"
    return "webhook" if addresses.is_web(url) else None


async def _post(url: str, notice: Notice, *, permitted: Sequence[Network]) -> None:
    """Post a notice as JSON: to the address that was looked at, whatever the name leads to a moment later. Nothing is followed."""
    host, port, is_plain = addresses.web_address(url, permitted)
    try:
        address = await _address_of(host, port, permitted, is_plain=is_plain)
        asked = httpx2.URL(url)
        headers = {
            "host": asked.netloc.decode("ascii"),
            "content-type": "application/json",
            "user-agent": "Bursar",
            "webhook-id": notice.id,
        }
        timeout = httpx2.Timeout(_READ_S, connect=_CONNECT_S)
        async with (
            httpx2.AsyncClient(verify=_trusted(), trust_env=False, follow_redirects=False, timeout=timeout) as client,
            client.stream(
                "POST",
                asked.copy_with(host=address),
                content=msgspec.json.encode(notice),
                headers=headers,
                extensions={"sni_hostname": host},
            ) as answer,
        ):
            status = answer.status_code
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ssl.SSLError, UnicodeError) as error:
        raise NoticeNotSent(f"the webhook does not answer ({type(error).__name__})") from error
    if status not in _TAKEN:
        raise NoticeNotSent(f"the webhook answered {status}", is_final=status == _GONE)


async def _address_of(host: str, port: int, permitted: Sequence[Network], *, is_plain: bool) -> str:
    """Return the address to call."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    reached = [ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    for address in reached:
        if not is_permitted(address, permitted) or (is_plain and not any(address in n for n in permitted)):
            raise NoticeNotSent("the webhook's name leads into a private network")
    reached.sort(key=lambda address: address.version)
    return str(reached[0])


def _by_apprise(url: str, notice: Notice) -> None:
    """Let apprise send it: in a thread of its own, because it waits."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # what it logs names addresses
    found = addresses.plugin(url)
    if found is None:
        raise NoticeNotSent("the address is none that apprise knows", is_final=True)
    # Whatever the address says of them: the job tries again, and a thread must not wait for long.
    found.socket_connect_timeout, found.socket_read_timeout, found.retry, found.wait = _CONNECT_S, _READ_S, 0, 0.0
    if type(found).__name__ == "NotifyPagerDuty" and notice.alert:
        # So that the notice that it is resolved ends the incident that the first one began.
        found.action, found.dedup = "map", notice.alert
    kind = "success" if notice.what == "resolved" else "info" if notice.what == "test" else _WORSE[notice.severity]
    try:
        short = type(found).__name__ in addresses.PLUGINS["sms"]
        body, title = (notice.headline, "") if short else (notice.text, notice.headline)
        is_sent = found.notify(body=body, title=title, notify_type=addresses.library().NotifyType(kind))
    except TypeError as error:
        raise NoticeNotSent(f"the service refused the notice ({type(error).__name__})") from error
    if not is_sent:
        raise NoticeNotSent(f"{type(found).__name__.removeprefix('Notify')} did not take the notice")


@cache
def _trusted() -> Any:
    return ssl.create_default_context()
