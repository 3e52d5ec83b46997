"""What a mail is, and what sends it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Protocol

from bursar.kernel.errors import Unavailable


class MailFailed(Unavailable):
    """The mail was not taken. `is_final`: another attempt would be refused too."""

    code = "mail_failed"

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Message:
    """A mail in plain text to one person."""

    to: str
    subject: str
    text: str


class Mailer(Protocol):
    """Sends mails. Returns when the next server has taken the mail, or raises MailFailed."""

    async def send(self, message: Message) -> None: ...


def composed(message: Message, *, sender: str) -> EmailMessage:
    """Return the mail as it travels. Raises MailFailed for an address that cannot be one."""
    mail = EmailMessage(policy=SMTP.clone(max_line_length=998))
    try:
        mail["From"] = sender
        mail["To"] = message.to
        mail["Subject"] = " ".join(message.subject.split())[:200]
    except (ValueError, IndexError, AttributeError) as error:
        raise MailFailed("the address cannot be written to", is_final=True) from error
    if len(mail["To"].addresses) != 1:
        raise MailFailed("the address cannot be written to", is_final=True)
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("> ") or None)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text, cte="quoted-printable")
    return mail
