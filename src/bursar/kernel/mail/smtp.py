"""Mail over SMTP, encrypted: `smtps://` at once, `smtp://` by STARTTLS."""

import ssl
from dataclasses import dataclass

import aiosmtplib

from bursar.kernel.mail.port import MailFailed, Message, composed

TIMEOUT_S = 15
_PERMANENT = 500


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server. is_tls: encrypted from the first byte. is_plain: not encrypted at all, for one on this machine."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    is_tls: bool = False
    is_plain: bool = False
    trust: ssl.SSLContext | None = None

    async def send(self, message: Message) -> None:
        mail = composed(message, sender=self.sender)
        try:
            await aiosmtplib.send(
                mail,
                hostname=self.host,
                port=self.port,
                username=self.user,
                password=self.password,
                use_tls=self.is_tls,
                start_tls=not (self.is_tls or self.is_plain),
                tls_context=self.trust,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refusal.code for refusal in error.recipients]
            raise MailFailed("the mail server refused the recipient", is_final=min(codes) >= _PERMANENT) from error
        except aiosmtplib.SMTPResponseException as error:
            raise MailFailed(f"the mail server answered {error.code}") from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            raise MailFailed(f"the mail server cannot be used: {type(error).__name__}") from error
