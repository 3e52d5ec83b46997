"""Reading: one object, lists of them page by page, and what a caller wants to see in them at once (`expand`)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import books, store
from bursar.sandbox.forms import Params
from bursar.sandbox.refusals import invalid, unknown
from bursar.sandbox.work import EVENTS_KEPT_S, Work, listing, shown

LIMIT_MAX: Final = 100
EXPAND_DEPTH_MAX: Final = 4
EXPANDS_MAX: Final = 20

_ALIVE: Final = ("incomplete", "trialing", "active", "past_due", "unpaid", "paused")
_FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "customer": ("email",),
    "product": ("active",),
    "price": ("product", "type", "active", "currency"),
    "payment_method": ("customer", "type"),
    "setup_intent": ("customer", "payment_method"),
    "payment_intent": ("customer",),
    "charge": ("customer", "payment_intent"),
    "refund": ("charge", "payment_intent"),
    "dispute": ("charge", "payment_intent"),
    "checkout.session": ("customer", "payment_intent", "subscription", "status"),
    "subscription": ("customer",),
    "subscription_item": ("subscription",),
    "invoice": ("customer", "subscription", "status"),
    "invoice_payment": ("invoice", "status"),
    "invoiceitem": ("customer", "invoice"),
    "balance_transaction": ("source", "type", "currency"),
    "event": ("type",),
    "file": ("purpose",),
    "webhook_endpoint": (),
}
"""By which fields a list of each kind may be narrowed."""


def retrieve(kind: str) -> Callable[[Work, Params, str], Json]:
    """Return the handler of GET /v1/…/{id}."""

    def retrieving(work: Work, _params: Params, ref: str) -> Json:
        found = work.need(kind, ref)
        if kind == "event" and found["created"] < work.now - EVENTS_KEPT_S:
            raise unknown(kind, ref)
        return found

    return retrieving


def page(kind: str, url: str) -> Callable[[Work, Params], Json]:
    """Return the handler of GET /v1/…: newest first, by keyset."""

    def listing_page(work: Work, params: Params) -> Json:
        limit = params.whole("limit", 10, least=1) or 10
        if limit > LIMIT_MAX:
            raise invalid("This value must be less than or equal to 100.", param="limit")
        after = _place(work, kind, params, "starting_after")
        before = _place(work, kind, params, "ending_before")
        found = store.select(
            work.connection,
            work.account,
            kind,
            links=_links(kind, params),
            created=_created(work, kind, params),
            after=after,
            before=before,
            limit=limit + 1,
        )
        items = found[:limit]
        if before is not None:
            items.reverse()
        return listing(items, url) | {"has_more": len(found) > limit}

    return listing_page


def narrowed(kind: str, url: str, field: str) -> Callable[[Work, Params, str], Json]:
    """Return the handler of a list below an object, such as GET /v1/customers/{id}/payment_methods."""
    whole = page(kind, url)

    def listing_page(work: Work, params: Params, ref: str) -> Json:
        return whole(work, Params({name: params.raw(name) for name in params.names()} | {field: ref}))

    return listing_page


def present(work: Work, item: Json) -> Json:
    """Return an object as an answer shows it, at this moment."""
    if item["object"] == "balance_transaction":
        return books.as_of(item, work.now)
    return shown(item)


def answer(work: Work, result: Json, expands: Sequence[str]) -> Json:
    """Return what goes over the wire: own fields left out, wanted objects put in. Raises Refusal."""
    if len(expands) > EXPANDS_MAX:
        raise invalid("You can expand at most 20 fields.", param="expand")
    is_list = result.get("object") == "list"
    made = result | {"data": [present(work, item) for item in result["data"]]} if is_list else _whole(work, result)
    sources = result["data"] if is_list else [result]
    for path in expands:
        parts = path.split(".")
        if is_list:
            if parts[0] != "data":
                raise _cannot(path)
            parts = parts[1:]
        if not 0 < len(parts) <= EXPAND_DEPTH_MAX:
            raise _cannot(path)
        shownings = made["data"] if is_list else [made]
        for source, target in zip(sources, shownings, strict=True):
            _expand(work, source, target, parts, path)
    return made


def _whole(work: Work, result: Json) -> Json:
    secret = result.get("secret")
    made = present(work, result) if "object" in result and "id" in result else result
    return made | ({"secret": secret} if secret else {})


def _expand(work: Work, source: Json, target: Json, parts: Sequence[str], path: str) -> None:
    """Replace a name by its object, as deep as wanted. source: the object with the sandbox's own fields."""
    name, rest = parts[0], parts[1:]
    if name in _INCLUDED.get(source.get("object", ""), {}):
        target[name] = _INCLUDED[source["object"]][name](work, source)
    elif name not in target:
        raise _cannot(path)
    value = target[name]
    if isinstance(value, str):
        found = store.find_any(work.connection, work.account, value)
        if found is None:
            return
        target[name] = value = present(work, found)
        if rest:
            _expand(work, found, value, rest, path)
        return
    for inner in _inside(value, rest):
        skipped = rest[1:] if rest and rest[0] == "data" else rest
        if skipped:
            _expand(work, inner, inner, skipped, path)


def _inside(value: Any, rest: Sequence[str]) -> list[Json]:
    if not rest:
        return []
    if isinstance(value, dict) and value.get("object") == "list" and rest[0] == "data":
        return list(value["data"])
    return [value] if isinstance(value, dict) else []


def _cannot(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", param="expand")


def _line_items(_work: Work, session: Json) -> Json:
    return listing(session["_lines"], f"/v1/checkout/sessions/{session['id']}/line_items")


def _refunds(work: Work, charge: Json) -> Json:
    found = [shown(item) for item in work.all("refund", charge=charge["id"])]
    return listing(found, f"/v1/charges/{charge['id']}/refunds")


def _subscriptions(work: Work, customer: Json) -> Json:
    found = [shown(item) for item in work.all("subscription", customer=customer["id"])]
    return listing(found, f"/v1/customers/{customer['id']}/subscriptions")


def _payments(work: Work, invoice: Json) -> Json:
    found = [shown(item) for item in work.all("invoice_payment", invoice=invoice["id"])]
    return listing(found, f"/v1/invoice_payments?invoice={invoice['id']}")


def _confirmation(work: Work, invoice: Json) -> Json | None:
    intent = work.find("payment_intent", invoice.get("_intent") or "")
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None


_INCLUDED: Final[dict[str, dict[str, Callable[[Work, Json], Any]]]] = {
    "checkout.session": {"line_items": _line_items},
    "charge": {"refunds": _refunds},
    "customer": {"subscriptions": _subscriptions},
    "invoice": {"payments": _payments, "confirmation_secret": _confirmation},
}
"""Fields that an object has only for those who ask."""


def _place(work: Work, kind: str, params: Params, name: str) -> tuple[int, int] | None:
    ref = params.text(name)
    if ref is None:
        return None
    at = store.place(work.connection, work.account, kind, ref)
    if at is None:
        raise unknown(kind, ref, param=name, status=400)
    return at


def _created(work: Work, kind: str, params: Params) -> dict[str, int]:
    """Return the bounds of a list in time. Events older than thirty days are gone."""
    raw = params.raw("created")
    bounds: dict[str, int] = {}
    if isinstance(raw, str) and raw:
        at = params.need_whole("created")
        bounds = {"gte": at, "lte": at}
    elif raw:
        child = params.child("created")
        assert child is not None
        bounds = {name: child.need_whole(name) for name in ("gt", "gte", "lt", "lte") if child.has(name)}
        child.refuse_others()
    if kind == "event":
        bounds["gte"] = max(bounds.get("gte", 0), work.now - EVENTS_KEPT_S)
    return bounds


def _links(kind: str, params: Params) -> dict[str, str | Sequence[str]]:
    links: dict[str, str | Sequence[str]] = {}
    for name in _FILTERS[kind]:
        value = params.text(name)
        if value is not None:
            links[name] = {"true": "1", "false": "0"}.get(value, value) if name == "active" else value
    if kind == "event" and params.texts("types"):
        links["type"] = params.texts("types")
    if kind == "price" and params.texts("lookup_keys"):
        links["lookup_key"] = params.texts("lookup_keys")
    if kind == "subscription":
        status = params.text("status")
        if status == "ended":
            links["status"] = ("canceled", "incomplete_expired")
        elif status != "all":
            links["status"] = _ALIVE if status is None else status
    if kind == "invoice_payment":
        payment = params.child("payment")
        if payment:
            payment.accept("type")
            links["payment_intent"] = payment.need("payment_intent")
    return links
