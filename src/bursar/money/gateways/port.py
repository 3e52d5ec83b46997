"""The port that every gateway's adapter fills: verify a delivery, route it, translate it into facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bursar.kernel.errors import Invalid
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import AnyFact

ID_LENGTH_MAX = 255


class SignatureInvalid(Invalid):
    """The delivery is not signed by any active secret of the account, or not at about this time."""

    code = "signature_invalid"
    status = 400


class SecretInvalid(Invalid):
    """The signing secret cannot protect an account: it is empty or not in the gateway's form."""

    code = "signing_secret_invalid"


class EnvelopeUnreadable(ValueError):
    """A validly signed body does not name its event; it is kept, and rests as dead."""


class FieldMissing(ValueError):
    """A field that matters is absent or of the wrong kind. The message names its path in the body."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is read of a body before it is stored: just enough to file it.

    event_id: the gateway's id, unique within the account; 1 to 255 characters, no control characters.
    occurred_at: the gateway's own time of the event, aware UTC.
    """

    event_id: str
    type: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Translation:
    """What one event says. No facts and `is_ignored`: a type that Bursar keeps but does not act on."""

    facts: tuple[AnyFact, ...] = ()
    is_ignored: bool = False


class Gateway(Protocol):
    """One payment gateway, receiving half. Stateless: secrets, clock and bodies are passed in."""

    @property
    def name(self) -> str:
        """The name by which an account is configured with this gateway."""

    def check_secret(self, secret: str) -> None:
        """Raises SecretInvalid for a signing secret that cannot protect an account; ask before storing one."""

    def verify(
        self, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance_s: int
    ) -> None:
        """Check the signature over the raw bytes with every secret.

        headers: lower-case names. Raises SignatureInvalid, whatever the input; never anything else.
        """

    def envelope(self, *, headers: Mapping[str, str], body: bytes) -> Envelope:
        """Read the event's id, type and time. Raises EnvelopeUnreadable, whatever the input; never anything else."""

    def translate(self, *, type: str, payload: dict[str, Any]) -> Translation:  # noqa: A002
        """Return the facts in an event's parsed body.

        Unknown fields and types are tolerated. Raises FieldMissing where a field that matters is absent.
        """

    def translate_object(self, *, kind: Kind, object: dict[str, Any]) -> tuple[AnyFact, ...]:  # noqa: A002
        """Return the facts of an object as the gateway shows it when it is asked; the same as its events would tell.

        Kinds that tell nothing of their own give none. Raises FieldMissing where a field that matters is absent.
        """

    def sign(self, *, body: bytes, secret: str, now: datetime, event_id: str) -> dict[str, str]:
        """Return the headers with which this gateway would deliver the body (sandbox, demo, tests)."""
