"""Stripe's calling half: the official SDK, asynchronous, without its retries, under our keys and our deadlines.

Sources: Stripe API reference, "Errors", "Idempotent requests", "Versioning"; "Advanced error handling".
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import reduce
from hashlib import sha256
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bursar.kernel.clock import utc_now
from bursar.money.gateways import calls, wire
from bursar.money.gateways.calling import (
    DEADLINE_S,
    PAGE_SIZE_MAX,
    Answer,
    CallFailed,
    Credentials,
    CredentialsRefused,
    GatewayBusy,
    GatewayRefused,
    Json,
    OperationUnsupported,
    OutcomeUnknown,
    Page,
    StillRunning,
)
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.fields import child, children, instant, ref_of
from bursar.money.gateways.stripe import finding, requests
from bursar.money.gateways.stripe.previews import preview_of
from bursar.money.gateways.stripe.requests import STRIPE_VERSION, Request

if TYPE_CHECKING:
    import httpx
    import stripe

REPEATS_SAFELY_S: Final = 20 * 3600
"""Stripe keeps a key for at least 24 hours; we stop relying on it a little earlier."""

_PAGES_MAX: Final = 10

_FETCHED: Final[dict[Kind, tuple[str, tuple[str, ...]]]] = {
    Kind.session: ("checkout.sessions.retrieve", ("line_items",)),
    Kind.customer: ("customers.retrieve", ()),
    Kind.payment: ("payment_intents.retrieve", ()),
    Kind.charge: ("charges.retrieve", ()),
    Kind.refund: ("refunds.retrieve", ()),
    Kind.dispute: ("disputes.retrieve", ()),
    Kind.invoice: ("invoices.retrieve", ("payments",)),
    Kind.subscription: ("subscriptions.retrieve", ()),
    Kind.payment_method: ("payment_methods.retrieve", ()),
    Kind.setup: ("setup_intents.retrieve", ("payment_method",)),
    Kind.balance_transaction: ("balance_transactions.retrieve", ()),
    Kind.file: ("files.retrieve", ()),
}
_LISTED: Final[dict[Kind, tuple[str, Json]]] = {
    Kind.session: ("checkout.sessions.list", {}),
    Kind.customer: ("customers.list", {}),
    Kind.payment: ("payment_intents.list", {}),
    Kind.charge: ("charges.list", {}),
    Kind.refund: ("refunds.list", {}),
    Kind.dispute: ("disputes.list", {}),
    Kind.invoice: ("invoices.list", {"expand": ["data.payments"]}),
    Kind.subscription: ("subscriptions.list", {"status": "all"}),
    Kind.payment_method: ("customers.payment_methods.list", {}),
    Kind.setup: ("setup_intents.list", {"expand": ["data.payment_method"]}),
    Kind.balance_transaction: ("balance_transactions.list", {}),
    Kind.event: ("events.list", {}),
}
_OF_A_CUSTOMER: Final = frozenset(
    {Kind.session, Kind.payment, Kind.charge, Kind.invoice, Kind.subscription, Kind.setup}
)
_KIND_OF_OBJECT: Final = {
    "payment_intent": Kind.payment,
    "setup_intent": Kind.setup,
    "charge": Kind.charge,
    "payment_method": Kind.payment_method,
}


class StripeCaller:
    """See `calling.Caller`. The sandbox is this caller under another name, at the account's own address."""

    repeats_safely_s: int | None = REPEATS_SAFELY_S
    fetches: frozenset[Kind] = frozenset(_FETCHED)
    lists: frozenset[Kind] = frozenset(_LISTED)

    def __init__(self, name: str, *, now: Callable[[], datetime] = utc_now) -> None:
        self.name = name
        self._now = now
        self._clients: wire.Clients[stripe.StripeClient] = wire.Clients(self._opened)

    def check(self, call: calls.AnyCall) -> None:
        """Raises OperationUnsupported."""
        requests.check(call)

    def finds(self, call: calls.AnyCall) -> bool:
        del call
        return True

    async def execute(
        self, call: calls.AnyCall, *, credentials: Credentials, idempotency_key: str, deadline_s: float = DEADLINE_S
    ) -> Answer:
        """See `calling.Caller`."""
        self.check(call)
        async with wire.attempting(deadline_s, now=self._now) as attempt:
            if isinstance(call, calls.ChangeSubscription | calls.PreviewSubscriptionChange):
                call = await self._with_its_item(call, credentials, attempt)
                attempt.is_sent = False
            request = requests.request_of(call, mark=idempotency_key)
            key = None if call.is_read else idempotency_key
            answer = await self._ask(request, credentials=credentials, attempt=attempt, key=key)
            if isinstance(call, calls.PreviewSubscriptionChange):
                return replace(answer, preview=preview_of(answer.object, call))
            return await self._as_it_is(answer, credentials) if answer.is_replayed else answer

    async def find(
        self,
        call: calls.AnyCall,
        *,
        credentials: Credentials,
        idempotency_key: str,
        since: datetime,
        deadline_s: float = DEADLINE_S,
    ) -> Answer | None:
        """See `calling.Caller`."""
        place = finding.place_of(call)
        if place is None:
            return None
        async with wire.attempting(deadline_s, now=self._now) as attempt:
            if place.ref is not None:
                found = await self._fetch(place.kind, place.ref, credentials, attempt)
                return found if found and finding.is_done(call, found.object) else None
            cursor: str | None = None
            for _ in range(_PAGES_MAX):
                listed = _listed(place.kind, params=place.params, since=since if place.is_recent else None)
                page = await self._page(listed, credentials, attempt, cursor, PAGE_SIZE_MAX)
                for answer in page.answers:
                    if finding.is_marked(call, answer.object, mark=idempotency_key):
                        return answer
                cursor = page.cursor
                if cursor is None:
                    return None
        raise OutcomeUnknown(f"not among the newest {_PAGES_MAX * PAGE_SIZE_MAX} {place.kind}s; look by hand")

    async def fetch(
        self, kind: Kind, ref: str, *, credentials: Credentials, deadline_s: float = DEADLINE_S
    ) -> Answer | None:
        """See `calling.Caller`."""
        async with wire.attempting(deadline_s, now=self._now) as attempt:
            return await self._fetch(kind, ref, credentials, attempt)

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
        """See `calling.Caller`."""
        params = {"customer": customer} if customer and kind in _OF_A_CUSTOMER else {}
        listed = _listed(kind, params=params, since=since, until=until, customer=customer)
        async with wire.attempting(deadline_s, now=self._now) as attempt:
            return await self._page(listed, credentials, attempt, cursor, limit)

    async def close(self) -> None:
        """Close the connections."""
        await self._clients.close()

    async def _with_its_item(
        self,
        call: calls.ChangeSubscription | calls.PreviewSubscriptionChange,
        credentials: Credentials,
        attempt: wire.Attempt,
    ) -> calls.ChangeSubscription | calls.PreviewSubscriptionChange:
        if isinstance(call, calls.PreviewSubscriptionChange) and call.proration_at is None:
            call = msgspec.structs.replace(call, proration_at=self._now().replace(microsecond=0))
        if call.item is not None:
            return call
        found = await self._fetch(Kind.subscription, call.subscription, credentials, attempt)
        items = children(found.object, "items") if found else []
        # Without the name of its line, Stripe would sell the price beside what is sold already.
        item = ref_of(items[0]) if len(items) == 1 else None
        if item is None:
            told = "there is no such subscription" if found is None else f"the subscription has {len(items)} lines"
            raise GatewayRefused(told, code="resource_missing" if found is None else "item_ambiguous", param="item")
        return msgspec.structs.replace(call, item=item)

    async def _as_it_is(self, answer: Answer, credentials: Credentials) -> Answer:
        """Return the object of a repeated answer as it is now: the answer shows it as it was then."""
        if answer.kind in _FETCHED:
            async with wire.attempting(DEADLINE_S, now=self._now) as attempt:
                try:
                    found = await self._fetch(answer.kind, answer.ref, credentials, attempt)
                except CallFailed:
                    found = None
            if found is not None:
                return replace(found, url=found.url or answer.url, is_replayed=True, request_id=answer.request_id)
        return replace(answer, at=instant(answer.object.get("created")) or answer.at)

    async def _fetch(self, kind: Kind, ref: str, credentials: Credentials, attempt: wire.Attempt) -> Answer | None:
        if kind not in _FETCHED:
            raise OperationUnsupported(f"Stripe does not show a {kind} again", hint="Make a new one.")
        path, expand = _FETCHED[kind]
        request = Request(path, kind, (ref,), {"expand": list(expand)} if expand else {})
        try:
            return await self._ask(request, credentials=credentials, attempt=attempt)
        except GatewayRefused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def _page(
        self, listed: Request, credentials: Credentials, attempt: wire.Attempt, cursor: str | None, limit: int
    ) -> Page:
        params = listed.params | {"limit": min(limit, PAGE_SIZE_MAX)} | ({"starting_after": cursor} if cursor else {})
        body, _ = await self._send(replace(listed, params=params), credentials, attempt)
        found = children(body, "data")
        answers = tuple(_answer(listed.kind, item, attempt) for item in found)
        if not all(answer.ref for answer in answers):
            raise OutcomeUnknown("the list holds an object without an id", status=attempt.status)
        return Page(answers, answers[-1].ref if answers and body.get("has_more") is True else None)

    async def _ask(
        self, request: Request, *, credentials: Credentials, attempt: wire.Attempt, key: str | None = None
    ) -> Answer:
        body, headers = await self._send(request, credentials, attempt, key)
        if request.kind is not Kind.preview and ref_of(body) is None:
            raise OutcomeUnknown("the answer is not an object of Stripe's", status=attempt.status)
        answer = _answer(request.kind, body, attempt)
        return replace(
            answer,
            is_replayed=_is_replayed(headers),
            request_id=wire.word(headers.get("request-id")),
        )

    async def _send(
        self, request: Request, credentials: Credentials, attempt: wire.Attempt, key: str | None = None
    ) -> tuple[Json, Mapping[str, str]]:
        import stripe  # noqa: PLC0415 - 26 MB that only workers need

        services: Any = self._clients.of(credentials).v1
        method: Callable[..., Awaitable[Any]] = reduce(getattr, f"{request.path}_async".split("."), services)
        options = {"idempotency_key": key} if key else {}
        try:
            await method(*request.ids, params=request.params, options=options)
        except stripe.StripeError:
            raise _failure(attempt, credentials, now=self._now()) from None
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            # The SDK stumbles over JSON of a shape that no gateway sends; what was done, nobody knows.
            raise OutcomeUnknown(f"the answer cannot be read ({type(error).__name__})", status=attempt.status) from None
        return wire.object_of(attempt), attempt.headers

    def _opened(self, credentials: Credentials, http: "httpx.AsyncClient") -> "stripe.StripeClient":
        import stripe  # noqa: PLC0415

        stripe.enable_telemetry = False
        url = credentials.base_url
        if url is None and self.name != "stripe":
            raise CredentialsRefused(f"an account of the {self.name} says where it is; this one has no base_url")
        return stripe.StripeClient(
            credentials.api_key,
            stripe_version=STRIPE_VERSION,
            base_addresses={"api": url, "files": url} if url else None,
            max_network_retries=0,
            http_client=_over(http),
        )


def _over(http: "httpx.AsyncClient") -> "stripe.HTTPClient":
    """Return the SDK's client over our own; what the wire raises passes through the SDK untouched."""
    import stripe  # noqa: PLC0415

    class Over(stripe.HTTPClient):
        name = "bursar"

        async def request_async(
            self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
        ) -> tuple[bytes, int, Mapping[str, str]]:
            content = post_data.encode() if isinstance(post_data, str) else post_data
            told, content = _always_alike(dict(headers), content)
            answer = await http.request(method, url, headers=told, content=content)
            return answer.content, answer.status_code, answer.headers

    return Over()


def _always_alike(headers: dict[str, str], content: bytes | None) -> tuple[dict[str, str], bytes | None]:
    """Part the body of an upload by its key: the SDK draws lots for it, and then a repeat under the same key has other bytes."""
    kind, is_parted, drawn = headers.get("Content-Type", "").partition("boundary=")
    key = headers.get("Idempotency-Key")
    if not is_parted or content is None or key is None:
        return headers, content
    own = sha256(key.encode()).hexdigest()
    parted = content.replace(b"--" + drawn.encode(), b"--" + own.encode())
    return headers | {"Content-Type": f"{kind}boundary={own}"}, parted


def _listed(
    kind: Kind,
    *,
    params: Json,
    since: datetime | None = None,
    until: datetime | None = None,
    customer: str | None = None,
) -> Request:
    if kind not in _LISTED:
        raise OperationUnsupported(f"Stripe has no list of each {kind}", hint="Fetch it by its id.")
    path, fixed = _LISTED[kind]
    if kind is Kind.payment_method:
        if customer is None:
            raise OperationUnsupported("Stripe lists payment methods of one customer", hint="Name the customer.")
        return Request(path, kind, (customer,), fixed)  # a customer has a handful; they have no range of time
    # Stripe's times are whole seconds, so a range is exact when both ends are rounded up.
    created = ({"gte": ceil(since.timestamp())} if since else {}) | ({"lt": ceil(until.timestamp())} if until else {})
    return Request(path, kind, params=fixed | params | ({"created": created} if created else {}))


def _answer(kind: Kind, item: Json, attempt: wire.Attempt) -> Answer:
    shown = {name: value for name, value in item.items() if name != "client_secret"}
    return Answer(kind=kind, ref=ref_of(item) or "", object=shown, at=attempt.at, url=_url_of(kind, item))


def _url_of(kind: Kind, item: Json) -> str | None:
    """Return where to send the customer: a hosted page, or what he must do before a payment goes on."""
    if kind in (Kind.session, Kind.portal_session):
        told = item.get("url")
        return told if isinstance(told, str) else None
    action = child(item, "next_action") if kind in (Kind.payment, Kind.setup) else {}
    for inner in action.values():
        told = inner if isinstance(inner, dict) else {}
        url = told.get("url") or told.get("hosted_voucher_url") or told.get("hosted_instructions_url")
        if isinstance(url, str):
            return url
    return None


def _is_replayed(headers: Mapping[str, str]) -> bool:
    return headers.get("idempotent-replayed", "").lower() == "true"


def _failure(attempt: wire.Attempt, credentials: Credentials, *, now: datetime) -> CallFailed:
    """Return what an answer that is not a success means. The SDK's own words and chain are left behind: they quote bodies."""
    status, headers = attempt.status, attempt.headers
    words = child(wire.object_or_none(attempt) or {}, "error")
    code = wire.word(words.get("code"))
    where: dict[str, Any] = {"status": status, "request_id": wire.word(headers.get("request-id"))}
    said = wire.fit(words.get("message"), credentials) or f"HTTP {status}"
    is_limit = status == HTTPStatus.TOO_MANY_REQUESTS or code in ("rate_limit", "lock_timeout")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return CredentialsRefused(said, **where)
    if _is_replayed(headers) and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OutcomeUnknown(f"Stripe repeats an earlier failure: {said}", is_replayed=True, **where)
    if is_limit or status == HTTPStatus.SERVICE_UNAVAILABLE:
        return GatewayBusy(said, after_s=wire.wait_of(headers, now=now), **where)
    if status == HTTPStatus.CONFLICT:
        return StillRunning(said, **where)
    is_final = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if not words or not is_final or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.FAILED_DEPENDENCY):
        return OutcomeUnknown(said, **where)
    kind, item = _object_in(words)
    return GatewayRefused(
        said,
        code=code or wire.word(words.get("type")),
        decline_code=wire.word(words.get("decline_code")),
        param=wire.word(words.get("param")),
        object_kind=kind,
        object=item,
        at=attempt.at if item else None,
        is_same_key=words.get("type") == "idempotency_error",
        **where,
    )


def _object_in(words: Json) -> tuple[Kind | None, Json | None]:
    for name, kind in _KIND_OF_OBJECT.items():
        item = child(words, name)
        if ref_of(item):
            return kind, {field: value for field, value in item.items() if field != "client_secret"}
    return None, None
