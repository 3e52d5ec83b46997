"""Expected refusals, one tree.

DomainError
├── Invalid           the input is wrong                      400 / 422
├── Unauthenticated   nobody we know                          401
├── Forbidden         known, but not allowed                  403
├── NotFound          nothing of that name for this tenant    404
├── Conflict          the state does not allow it             409
├── LimitExceeded     too much, too large, too often          413 / 429
├── GatewayRefused    the payment gateway said no             502
└── Unavailable       try again later                         503

Each refusal lives beside the function that raises it and carries a permanent public `code`.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of the input and what is wrong with it. `field` is a dotted path, `code` is permanent."""

    field: str
    code: str
    message: str


class DomainError(Exception):
    """An expected refusal: what happened (message), what to do (`hint`), which fields (`fields`)."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    category: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        fields: tuple[FieldError, ...] = (),
        retry_after_s: int | None = None,
        context: dict[str, str | int] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields
        self.retry_after_s = retry_after_s
        self.context = context or {}


class Invalid(DomainError):
    code = "invalid"
    status = 422
    category = "validation"


class Unauthenticated(DomainError):
    code = "unauthenticated"
    status = 401
    category = "authentication"


class Forbidden(DomainError):
    code = "forbidden"
    status = 403
    category = "authorization"


class NotFound(DomainError):
    code = "not_found"
    status = 404
    category = "not_found"


class Conflict(DomainError):
    code = "conflict"
    status = 409
    category = "conflict"


class LimitExceeded(DomainError):
    code = "limit_exceeded"
    status = 429
    category = "rate_limit"


class GatewayRefused(DomainError):
    code = "gateway_refused"
    status = 502
    category = "gateway"


class Unavailable(DomainError):
    code = "unavailable"
    status = 503
    category = "database"
