"""The port that every gateway's calling half fills: make a call once, look whether it was made, read objects.

Nothing here decides whether to try again; the errors say what may be done, and whoever owns the intent does it:

CallFailed
├── NotMade                surely nothing happened there
│   ├── NotSent            the gateway was not reached: try again
│   ├── GatewayBusy        it turned us away (429, 503): try again after `after_s`
│   ├── StillRunning       the same call is being made now (409): ask again with the same key
│   ├── CredentialsRefused our key is not good: nobody can try again before it is replaced
│   └── GatewayRefused     it said no, for good: `code`, `decline_code`, `param`, and the object as it is, if told
└── OutcomeUnknown         it may have happened: repeat only where `repeats_safely_s` is set, else look with `find`

A call is made with the idempotency key of its intent, and marked with it (`MARK` in the object's metadata, where
a gateway keeps metadata), so that it can be found again when the gateway has forgotten the key or never took one.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Protocol

from bursar.kernel.errors import Invalid
from bursar.money.gateways.calls import AnyCall, Kind

Json = dict[str, Any]

CONNECT_S: Final = 3.0
READ_S: Final = 20.0
DEADLINE_S: Final = 23.0
ANSWER_BYTES_MAX: Final = 16 * 2**20
PAGE_SIZE_MAX: Final = 100

MARK: Final = "bursar_call"
REFUND_MARK: Final = "bursar_refund"
PAYMENT_MARK: Final = "bursar_payment"
REFERENCE_MARK: Final = "bursar_reference"


class OperationUnsupported(Invalid):
    """The gateway cannot do that; the hint says what to do instead. Nothing was sent."""

    code = "operation_unsupported"


class CallFailed(Exception):
    """A call did not end well. The message is fit to show: it holds no secret and nothing that names a person.

    status: the gateway's HTTP status, 0 where there was none. request_id: the gateway's name of the attempt.
    """

    kind: ClassVar[str] = "failed"

    def __init__(self, message: str, *, status: int = 0, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.request_id = request_id


class NotMade(CallFailed):
    """Surely nothing happened at the gateway."""


class NotSent(NotMade):
    """No connection: name not found, refused, no TLS, or none within CONNECT_S."""

    kind = "not_sent"


class GatewayBusy(NotMade):
    """Turned away before anything was done. after_s: how long to wait, if it was told; at most an hour."""

    kind = "busy"

    def __init__(
        self, message: str, *, after_s: float | None = None, status: int = 0, request_id: str | None = None
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.after_s = after_s


class StillRunning(NotMade):
    """An earlier attempt with the same key has not ended. This attempt did nothing; the earlier one may."""

    kind = "still_running"


class CredentialsRefused(NotMade):
    """The key is wrong, revoked, or may not do this."""

    kind = "credentials_refused"


class GatewayRefused(NotMade):
    """No, and no again if it is repeated.

    code, decline_code, param: the gateway's own words. object_kind, object: what it told of the object, as in Answer.
    at: the gateway's time of that. is_same_key: the key was used for another call before; that is a bug of ours.
    """

    kind = "refused"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        decline_code: str | None = None,
        param: str | None = None,
        object_kind: Kind | None = None,
        object: Json | None = None,  # noqa: A002
        at: datetime | None = None,
        is_same_key: bool = False,
        status: int = 0,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.code = code
        self.decline_code = decline_code
        self.param = param
        self.object_kind = object_kind
        self.object = object
        self.at = at
        self.is_same_key = is_same_key


class OutcomeUnknown(CallFailed):
    """Sent, and no answer that can be believed: a timeout, a lost connection, a 5xx, an unreadable body.

    is_replayed: the gateway repeats the stored outcome of an earlier attempt, and will for as long as it keeps
    the key: asking again with it is useless, so look with `find`.
    """

    kind = "unknown"

    def __init__(
        self, message: str, *, is_replayed: bool = False, status: int = 0, request_id: str | None = None
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.is_replayed = is_replayed


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens an account. base_url: where its gateway is, instead of the gateway's own address (sandbox, tests)."""

    api_key: str = field(repr=False)
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """amount_minor: below zero for what is set off."""

    amount_minor: int
    description: str | None = None
    is_proration: bool = False
    price: str | None = None
    quantity: int = 1
    period_start: datetime | None = None
    period_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would cost. due_now_minor: to be paid at once; total_minor: of the next invoice, if that is told.

    proration_at: as of when it was reckoned; pass it with the change.
    """

    currency: str
    due_now_minor: int
    total_minor: int | None = None
    tax_minor: int | None = None
    lines: tuple[PreviewLine, ...] = ()
    proration_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway answered: one object, and what it is.

    ref: the gateway's id of it; empty for what has none (a preview). object: as the gateway wrote it, without secrets
    that only open something (`client_secret`). at: the gateway's own time of this state of it, or a little earlier; never later.
    url: where to send the customer. is_replayed: an earlier attempt with this key did it.
    """

    kind: Kind
    ref: str
    object: Json
    at: datetime
    url: str | None = field(default=None, repr=False)
    is_replayed: bool = False
    request_id: str | None = None
    preview: Preview | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects, in the gateway's own order (newest first). cursor: pass it for the next page; None: the last."""

    answers: tuple[Answer, ...]
    cursor: str | None


class Caller(Protocol):
    """One payment gateway, calling half. Keeps connections and nothing else; `close` it at the end."""

    @property
    def name(self) -> str:
        """The name by which an account is configured with this gateway."""

    @property
    def repeats_safely_s(self) -> int | None:
        """How long after the first attempt a call may be repeated with its key; None: the gateway takes no key.

        After that, or without it, look with `find` before a repeat, and where `find` cannot look leave it to a person.
        """

    @property
    def fetches(self) -> frozenset[Kind]:
        """Which kinds of objects `fetch` can show."""

    @property
    def lists(self) -> frozenset[Kind]:
        """Which kinds of objects `objects` can list; the others must be fetched one by one, or not at all."""

    def check(self, call: AnyCall) -> None:
        """Raises OperationUnsupported for what this gateway cannot do. Ask before an intent is written."""

    def finds(self, call: AnyCall) -> bool:
        """Tell whether `find` can look for the effect of this call; where it cannot, only a person can."""

    async def execute(
        self, call: AnyCall, *, credentials: Credentials, idempotency_key: str, deadline_s: float = DEADLINE_S
    ) -> Answer:
        """Make the call, once: nothing is repeated here. Raises CallFailed and its kinds, OperationUnsupported."""

    async def find(
        self,
        call: AnyCall,
        *,
        credentials: Credentials,
        idempotency_key: str,
        since: datetime,
        deadline_s: float = DEADLINE_S,
    ) -> Answer | None:
        """Look for the effect of an earlier attempt with this key, by our mark or by the state that the call asks for.

        since: when the first attempt began, or earlier. None: there is no such effect, or one that does no harm
        twice (a link, a file); repeat the call. Raises CallFailed (nothing is known then), and OperationUnsupported
        where `finds` is False.
        """

    async def fetch(
        self, kind: Kind, ref: str, *, credentials: Credentials, deadline_s: float = DEADLINE_S
    ) -> Answer | None:
        """Return an object as it is now; None: the gateway says that there is none. Raises as `execute`."""

    async def objects(
        self,
        kind: Kind,
        *,
        credentials: Credentials,
        since: datetime | None = None,
        until: datetime | None = None,
        customer: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE_MAX,
        deadline_s: float = DEADLINE_S,
    ) -> Page:
        """Return objects made in [since, until), one page of at most 100. Raises as `execute`.

        customer: only this customer's; a list of payment methods needs it. Both ends are kept exactly.
        """

    async def close(self) -> None:
        """Close the connections."""
