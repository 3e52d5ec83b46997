"""E-mail addresses and names as people type them, and from where they come."""

import unicodedata
from dataclasses import dataclass
from typing import Final

from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.http.addresses import source_of

_EMAIL_MAX: Final = 254
_LOCAL_MAX: Final = 64
_NAME_MAX: Final = 200
_AGENT_MAX: Final = 200
_ADDRESS_MAX: Final = 64


class EmailInvalid(Invalid):
    """The text is not an e-mail address."""

    code = "email_invalid"


class PersonNameInvalid(Invalid):
    """A name is 1 to 200 printable characters."""

    code = "person_name_invalid"


@dataclass(frozen=True, slots=True)
class Device:
    """What a session is used with, as far as a browser says, and from which network address."""

    user_agent: str
    address: str

    @classmethod
    def of(cls, user_agent: str, address: str) -> "Device":
        """Return the device of a request, cut to what is kept."""
        return cls(_printable(user_agent)[:_AGENT_MAX], _printable(address)[:_ADDRESS_MAX])

    @property
    def source(self) -> str:
        """What attempts are counted by: an address, or of IPv6 the network that a subscriber has to themselves."""
        return source_of(self.address)


def email_key(email: str) -> str:
    """Return an address as it is compared: one normal form, case folded."""
    return unicodedata.normalize("NFKC", _printable(email)).casefold()


def checked_email(email: str) -> str:
    """Return the address, trimmed. Raises EmailInvalid."""
    text = email.strip()
    local, at, domain = text.rpartition("@")
    is_sound = (
        bool(local and at and domain) and "@" not in local and len(text) <= _EMAIL_MAX and len(local) <= _LOCAL_MAX
    )
    if not is_sound or not text.isprintable() or " " in text or len(email_key(text)) > _EMAIL_MAX:
        raise EmailInvalid("this is not an e-mail address", fields=(FieldError("email", "invalid", "not an address"),))
    return text


def checked_name(name: str) -> str:
    """Return the name, trimmed. Raises PersonNameInvalid."""
    text = " ".join(name.split(" ")).strip()
    if not 1 <= len(text) <= _NAME_MAX or not text.isprintable():
        raise PersonNameInvalid(
            f"a name is 1 to {_NAME_MAX} printable characters", fields=(FieldError("name", "invalid", "not a name"),)
        )
    return text


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).strip()
