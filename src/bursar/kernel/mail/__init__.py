"""Mail: the port and its adapters. `mailer_of(settings)` says which one is in force.

What it is not: it knows no templates and no recipients, and keeps nothing to be sent later (`identity.letters` does).
"""

from bursar.kernel.mail.choosing import MailSettingsInvalid, mailer_of
from bursar.kernel.mail.port import Mailer, MailFailed, Message

__all__ = ["MailFailed", "MailSettingsInvalid", "Mailer", "Message", "mailer_of"]
