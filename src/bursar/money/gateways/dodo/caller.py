"""Dodo's calling half: the official SDK, asynchronous, without its retries, under our deadlines.

Dodo takes no idempotency key. So a call is never repeated because its answer was lost: `find` looks first, by our
mark on what the call makes or by the state that it asks for; until it has looked, the outcome is unknown.

Source: Dodo Payments API reference; SDK 1.123.0, which sends no Idempotency-Key either.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from bursar.kernel.clock import utc_now
from bursar.money.gateways import calls, wire
from bursar.money.gateways.calling import (
    DEADLINE_S,
    MARK,
    PAGE_SIZE_MAX,
    REFUND_MARK,
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
)
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.dodo import requests
from bursar.money.gateways.dodo.objects import DETACHED, OWNER
from bursar.money.gateways.dodo.previews import preview_of
from bursar.money.gateways.dodo.requests import Request
from bursar.money.gateways.fields import child, children, instant_of_text, ref_of

if TYPE_CHECKING:
    import dodopayments
    import httpx

ADDRESS: Final = "https://live.dodopayments.com"

_REFUNDS_MAX: Final = 50

_REF: Final = {
    Kind.session: ("session_id", "id"),
    Kind.customer: ("customer_id",),
    Kind.payment: ("payment_id",),
    Kind.refund: ("refund_id",),
    Kind.dispute: ("dispute_id",),
    Kind.subscription: ("subscription_id",),
    Kind.payment_method: ("payment_method_id",),
    Kind.licence_key: ("id",),
    Kind.balance_transaction: ("id",),
}
_FETCHED: Final = {
    Kind.session: "checkout_sessions.retrieve",
    Kind.customer: "customers.retrieve",
    Kind.payment: "payments.retrieve",
    Kind.refund: "refunds.retrieve",
    Kind.dispute: "disputes.retrieve",
    Kind.subscription: "subscriptions.retrieve",
    Kind.licence_key: "license_keys.retrieve",
}
_LISTED: Final = {
    Kind.customer: "customers.list",
    Kind.payment: "payments.list",
    Kind.refund: "refunds.list",
    Kind.dispute: "disputes.list",
    Kind.subscription: "subscriptions.list",
    Kind.balance_transaction: "balances.retrieve_ledger",
    Kind.payment_method: "customers.retrieve_payment_methods",
}
_OF_A_CUSTOMER: Final = frozenset({Kind.payment, Kind.refund, Kind.dispute, Kind.subscription})


class DodoCaller:
    """See `calling.Caller`."""

    name = "dodo"
    repeats_safely_s: int | None = None
    fetches: frozenset[Kind] = frozenset(_FETCHED)
    lists: frozenset[Kind] = frozenset(_LISTED)

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._clients: wire.Clients[dodopayments.AsyncDodoPayments] = wire.Clients(self._opened)

    def check(self, call: calls.AnyCall) -> None:
        """Raises OperationUnsupported."""
        requests.check(call)

    def finds(self, call: calls.AnyCall) -> bool:
        del call
        return True

    async def execute(
        self, call: calls.AnyCall, *, credentials: Credentials, idempotency_key: str, deadline_s: float = DEADLINE_S
    ) -> Answer:
        """See `calling.Caller`. The key is only a mark here: Dodo takes none."""
        self.check(call)
        async with wire.attempting(deadline_s, now=self._now) as attempt:
            needed = requests.needs(call)
            known = await self._send(needed, credentials, attempt) if needed else {}
            attempt.is_sent = False
            request = requests.request_of(call, mark=idempotency_key, known=known)
            body = await self._send(request, credentials, attempt)
            match call:
                case calls.PreviewSubscriptionChange():
                    answer = Answer(kind=Kind.preview, ref="", object=body, at=attempt.at)
                    return replace(answer, preview=preview_of(body))
                case calls.CreatePortalSession():
                    return Answer(kind=Kind.portal_session, ref="", object={}, at=attempt.at, url=_text(body, "link"))
                case calls.DetachPaymentMethod():
                    gone = {"payment_method_id": call.payment_method, OWNER: call.customer, DETACHED: True}
                    return _answer(Kind.payment_method, gone, attempt)
                case _:
                    return await self._changed(request, body, credentials, attempt)

    async def find(
        self,
        call: calls.AnyCall,
        *,
        credentials: Credentials,
        idempotency_key: str,
        since: datetime,
        deadline_s: float = DEADLINE_S,
    ) -> Answer | None:
        """See `calling.Caller`. A checkout or a link is not looked for: a second one that nobody is sent to does no harm."""
        self.check(call)
        async with wire.attempting(deadline_s, now=self._now) as attempt:
            match call:
                case calls.CreateRefund():
                    return await self._refund_of(call, idempotency_key, credentials, attempt)
                case calls.CreateCustomer():
                    params = {"email": call.email, "created_at_gte": since - timedelta(minutes=1)}
                    listed = Request("customers.list", Kind.customer, params=params | {"page_size": PAGE_SIZE_MAX})
                    found = children(await self._send(listed, credentials, attempt), "items")
                    marked = [item for item in found if child(item, "metadata").get(MARK) == idempotency_key]
                    return _answer(Kind.customer, marked[0], attempt) if marked else None
                case calls.DetachPaymentMethod():
                    return await self._detached(call, credentials, attempt)
                case calls.CreateCheckout() | calls.CreatePortalSession() | calls.PreviewSubscriptionChange():
                    return None
                case _:
                    subscription = getattr(call, "subscription", None) or ""
                    shown = await self._fetch(Kind.subscription, subscription, credentials, attempt)
                    return shown if shown and _is_done(call, shown.object) else None

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
        """See `calling.Caller`. Dodo numbers its pages: name `until`, or what is made meanwhile shifts them.

        What is listed is shorter than what is fetched: a refund lacks its metadata, a payment its cart.
        """
        if kind not in _LISTED:
            raise OperationUnsupported(f"Dodo has no list of each {kind}", hint="Fetch it by its id.")
        number, size = int(cursor or 0), min(limit, PAGE_SIZE_MAX)
        request = Request(_LISTED[kind], kind, params=_range(since, until) | {"page_number": number, "page_size": size})
        if kind is Kind.payment_method:
            if customer is None:
                raise OperationUnsupported("Dodo lists payment methods of one customer", hint="Name the customer.")
            request = Request(_LISTED[kind], kind, (customer,))
        elif customer and kind in _OF_A_CUSTOMER:
            request = replace(request, params=request.params | {"customer_id": customer})
        async with wire.attempting(deadline_s, now=self._now) as attempt:
            found = children(await self._send(request, credentials, attempt), "items")
        owned = {OWNER: customer} if kind is Kind.payment_method else {}
        answers = [_answer(kind, item | owned, attempt) for item in found if _is_before(item, until)]
        has_more = kind is not Kind.payment_method and len(found) >= size
        return Page(tuple(answers), str(number + 1) if has_more else None)

    async def close(self) -> None:
        """Close the connections."""
        await self._clients.close()

    async def _changed(self, request: Request, body: Json, credentials: Credentials, attempt: wire.Attempt) -> Answer:
        """Return what a call made or changed: from its answer, or fetched where the answer does not show it."""
        answer = _answer(request.kind, body, attempt)
        if answer.ref:
            return answer
        if request.after is None:
            raise OutcomeUnknown("the answer is not an object of Dodo's", status=attempt.status)
        shown = await self._fetch(request.kind, request.after, credentials, attempt)
        if shown is None:
            raise OutcomeUnknown("what was changed is not there any more", status=attempt.status)
        return replace(shown, url=_text(body, "payment_link"))

    async def _refund_of(
        self, call: calls.CreateRefund, mark: str, credentials: Credentials, attempt: wire.Attempt
    ) -> Answer | None:
        payment = await self._fetch(Kind.payment, call.payment or "", credentials, attempt)
        listed = children(payment.object, "refunds") if payment else []
        refs = [ref for item in listed[:_REFUNDS_MAX] if (ref := ref_of(item.get("refund_id")))]
        for ref in refs:
            shown = await self._fetch(Kind.refund, ref, credentials, attempt)
            metadata = child(shown.object, "metadata") if shown else {}
            if shown and (metadata.get(REFUND_MARK) == call.refund or metadata.get(MARK) == mark):
                return shown
        if len(listed) > len(refs):
            raise OutcomeUnknown(f"not among the first {len(refs)} refunds of the payment; look by hand")
        return None

    async def _detached(
        self, call: calls.DetachPaymentMethod, credentials: Credentials, attempt: wire.Attempt
    ) -> Answer | None:
        listed = Request(_LISTED[Kind.payment_method], Kind.payment_method, (call.customer,))
        there = children(await self._send(listed, credentials, attempt), "items")
        if any(item.get("payment_method_id") == call.payment_method for item in there):
            return None
        gone = {"payment_method_id": call.payment_method, OWNER: call.customer, DETACHED: True}
        return _answer(Kind.payment_method, gone, attempt)

    async def _fetch(self, kind: Kind, ref: str, credentials: Credentials, attempt: wire.Attempt) -> Answer | None:
        if kind not in _FETCHED:
            raise OperationUnsupported(f"Dodo does not show a {kind} by its id", hint="List them.")
        try:
            body = await self._send(Request(_FETCHED[kind], kind, (ref,)), credentials, attempt)
        except GatewayRefused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return _answer(kind, body, attempt)

    async def _send(self, request: Request, credentials: Credentials, attempt: wire.Attempt) -> Json:
        import dodopayments  # noqa: PLC0415 - only workers need it

        *resources, method = request.path.split(".")
        resource = reduce(getattr, resources, self._clients.of(credentials))
        call: Callable[..., Awaitable[Any]] = getattr(resource.with_raw_response, method)
        try:
            await call(*request.ids, **request.params)
        except dodopayments.APIStatusError:
            raise _failure(attempt, credentials, now=self._now()) from None
        except dodopayments.APIConnectionError as error:
            if isinstance(error.__cause__, CallFailed):
                raise error.__cause__ from None
            raise OutcomeUnknown("no answer", status=attempt.status) from None
        return wire.object_of(attempt) if attempt.body.strip() else {}

    @staticmethod
    def _opened(credentials: Credentials, http: "httpx.AsyncClient") -> "dodopayments.AsyncDodoPayments":
        import dodopayments  # noqa: PLC0415

        return dodopayments.AsyncDodoPayments(
            bearer_token=credentials.api_key,
            base_url=credentials.base_url or ADDRESS,
            max_retries=0,
            timeout=http.timeout,
            http_client=http,
        )


def _answer(kind: Kind, item: Json, attempt: wire.Attempt) -> Answer:
    shown = {name: value for name, value in item.items() if name not in ("client_secret", "publishable_key")}
    ref = next((found for name in _REF[kind] if (found := ref_of(item.get(name)))), "")
    return Answer(kind=kind, ref=ref, object=shown, at=attempt.at, url=_text(item, "checkout_url"))


def _range(since: datetime | None, until: datetime | None) -> Json:
    return ({"created_at_gte": since} if since else {}) | ({"created_at_lte": until} if until else {})


def _is_before(item: Json, until: datetime | None) -> bool:
    """Tell whether an object is inside a range that does not hold its end; Dodo's does."""
    made = instant_of_text(item.get("created_at"))
    return until is None or made is None or made < until


def _is_done(call: calls.AnyCall, item: Json) -> bool:  # noqa: PLR0911 - one line for each call
    """Tell whether a subscription is as the call would leave it."""
    status, is_ending = item.get("status"), item.get("cancel_at_next_billing_date")
    match call:
        case calls.ChangeSubscription():
            return item.get("product_id") == call.price and item.get("quantity") == call.quantity
        case calls.SetDefaultPaymentMethod():
            return item.get("payment_method_id") == call.payment_method
        case calls.PauseSubscription():
            return status == "paused"
        case calls.ResumeSubscription():
            return status == "active"
        case calls.CancelSubscriptionNow():
            return status == "cancelled"
        case calls.CancelSubscriptionAtPeriodEnd():
            return is_ending is True or status == "cancelled"
        case calls.ReactivateSubscription():
            return is_ending is False and status != "cancelled"
        case calls.ExtendTrial():
            told = instant_of_text(item.get("next_billing_date"))
            return told is not None and told >= call.trial_end
        case _:
            return False


def _text(item: Mapping[str, Any], key: str) -> str | None:
    value = item.get(key)
    return value if isinstance(value, str) and value else None


def _failure(attempt: wire.Attempt, credentials: Credentials, *, now: datetime) -> CallFailed:
    """Return what an answer that is not a success means."""
    status, headers = attempt.status, attempt.headers
    told = wire.object_or_none(attempt)
    words = told or {}
    where: dict[str, Any] = {"status": status, "request_id": wire.word(headers.get("x-request-id"))}
    said = wire.fit(words.get("message") or words.get("error"), credentials) or f"HTTP {status}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return CredentialsRefused(said, **where)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return GatewayBusy(said, after_s=wire.wait_of(headers, now=now), **where)
    is_final = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if told is None or not is_final or status == HTTPStatus.REQUEST_TIMEOUT:
        return OutcomeUnknown(said, **where)
    return GatewayRefused(said, code=wire.word(words.get("code")) or f"http_{status}", **where)
