"""Which mailer the settings ask for."""

from urllib.parse import unquote, urlsplit

from bursar.kernel.errors import Invalid
from bursar.kernel.mail.outbox import Outbox
from bursar.kernel.mail.port import Mailer
from bursar.kernel.mail.smtp import Smtp
from bursar.kernel.settings import Settings

_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


class MailSettingsInvalid(Invalid):
    """BURSAR_MAIL_URL is not an address of a mail server."""

    code = "mail_settings_invalid"


def mailer_of(settings: Settings) -> Mailer:
    """Return the mailer in force. Raises MailSettingsInvalid."""
    if not settings.mail_url:
        return Outbox(settings.data / "outbox", sender=settings.mail_from)
    try:
        parts = urlsplit(settings.mail_url)
        port = parts.port
    except ValueError as error:
        raise _invalid() from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise _invalid()
    return Smtp(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        sender=settings.mail_from,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        is_tls=parts.scheme == "smtps",
        is_plain=parts.scheme == "smtp+plain",
    )


def _invalid() -> MailSettingsInvalid:
    return MailSettingsInvalid(
        "BURSAR_MAIL_URL is not an address of a mail server",
        hint="smtp://user:password@host:587 (STARTTLS), smtps://user:password@host:465, or smtp+plain://localhost:25.",
    )
