"""Which request does what. A handler takes the work, the parameters and the names in the path; it returns an object."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import (
    catalogue,
    checkouts,
    consequences,
    customers,
    cycles,
    disputes,
    endpoints,
    files,
    invoices,
    methods,
    payments,
    portal,
    previews,
    reading,
    refunds,
    subscriptions,
)
from bursar.sandbox.forms import Params
from bursar.sandbox.work import Work, listing

Handler = Callable[..., Json]


@dataclass(frozen=True, slots=True)
class Route:
    """A handler, and the names that the path gives it."""

    handler: Handler
    names: tuple[str, ...]


def route(method: str, path: str) -> Route | None:
    """Return who answers a request, or None."""
    parts = tuple(path.strip("/").split("/"))
    for pattern, handler in _BY_SHAPE.get((method, len(parts)), ()):
        if all(want in ("*", got) and got for want, got in zip(pattern, parts, strict=True)):
            return Route(handler, tuple(got for want, got in zip(pattern, parts, strict=True) if want == "*"))
    return None


def _followed(handler: Handler) -> Handler:
    """Let what a payment or a setup leads to happen with it, whether it worked or not."""

    def following(work: Work, params: Params, *names: str) -> Json:
        return consequences.following(work, lambda: handler(work, params, *names))

    return following


def _lines(work: Work, params: Params, ref: str) -> Json:
    params.accept("limit", "starting_after", "ending_before")
    return listing(checkouts.lines(work, params, ref), f"/v1/checkout/sessions/{ref}/line_items")


def _invoice_lines(work: Work, params: Params, ref: str) -> Json:
    params.accept("limit", "starting_after", "ending_before")
    found: Json = work.need("invoice", ref)["lines"]
    return found


def _subscription_items(work: Work, params: Params) -> Json:
    params.accept("limit", "starting_after", "ending_before")
    found: Json = work.need("subscription", params.need("subscription"), param="subscription")["items"]
    return found


_READ: Final = {
    "customers": "customer",
    "products": "product",
    "prices": "price",
    "payment_methods": "payment_method",
    "setup_intents": "setup_intent",
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "invoice_payments": "invoice_payment",
    "invoiceitems": "invoiceitem",
    "checkout/sessions": "checkout.session",
    "balance_transactions": "balance_transaction",
    "files": "file",
    "events": "event",
    "webhook_endpoints": "webhook_endpoint",
}
_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("POST", "customers", customers.create),
    ("POST", "customers/*", customers.update),
    ("DELETE", "customers/*", customers.delete),
    (
        "GET",
        "customers/*/payment_methods",
        reading.narrowed("payment_method", "/v1/payment_methods", "customer"),
    ),
    ("POST", "products", catalogue.create_product),
    ("POST", "products/*", catalogue.update_product),
    ("POST", "prices", catalogue.create_price),
    ("POST", "prices/*", catalogue.update_price),
    ("POST", "payment_methods", methods.create),
    ("POST", "payment_methods/*", methods.update),
    ("POST", "payment_methods/*/attach", methods.attach),
    ("POST", "payment_methods/*/detach", methods.detach),
    ("POST", "setup_intents", _followed(methods.create_setup)),
    ("POST", "setup_intents/*/confirm", _followed(methods.confirm_setup)),
    ("POST", "setup_intents/*/cancel", methods.cancel_setup),
    ("POST", "payment_intents", _followed(payments.create)),
    ("POST", "payment_intents/*", payments.update),
    ("POST", "payment_intents/*/confirm", _followed(payments.confirm)),
    ("POST", "payment_intents/*/capture", _followed(payments.capture)),
    ("POST", "payment_intents/*/cancel", _followed(payments.cancel)),
    ("POST", "refunds", refunds.create),
    ("POST", "refunds/*", refunds.update),
    ("POST", "refunds/*/cancel", refunds.cancel),
    ("POST", "disputes/*", disputes.update),
    ("POST", "disputes/*/close", disputes.close),
    ("POST", "files", files.create),
    ("POST", "subscriptions", subscriptions.create),
    ("POST", "subscriptions/*", subscriptions.update),
    ("DELETE", "subscriptions/*", subscriptions.cancel),
    ("POST", "subscriptions/*/pause", subscriptions.pause),
    ("POST", "subscriptions/*/resume", subscriptions.resume),
    ("POST", "invoices", invoices.create),
    ("POST", "invoices/create_preview", previews.preview),
    ("POST", "invoices/*", invoices.update),
    ("DELETE", "invoices/*", invoices.delete),
    ("POST", "invoices/*/finalize", invoices.finalize_draft),
    ("POST", "invoices/*/pay", cycles.pay),
    ("POST", "invoices/*/void", invoices.void),
    ("POST", "invoices/*/mark_uncollectible", invoices.give_up),
    ("GET", "invoices/*/lines", _invoice_lines),
    ("POST", "invoiceitems", invoices.create_item),
    ("GET", "subscription_items", _subscription_items),
    ("POST", "billing_portal/sessions", portal.create),
    ("POST", "checkout/sessions", checkouts.create),
    ("POST", "checkout/sessions/*/expire", checkouts.expire),
    ("GET", "checkout/sessions/*/line_items", _lines),
    ("POST", "webhook_endpoints", endpoints.create),
    ("POST", "webhook_endpoints/*", endpoints.update),
    ("DELETE", "webhook_endpoints/*", endpoints.delete),
    *(("GET", path, reading.page(kind, f"/v1/{path}")) for path, kind in _READ.items()),
    *(("GET", f"{path}/*", reading.retrieve(kind)) for path, kind in _READ.items()),
)


def _by_shape() -> dict[tuple[str, int], list[tuple[tuple[str, ...], Handler]]]:
    shaped: dict[tuple[str, int], list[tuple[tuple[str, ...], Any]]] = {}
    for method, path, handler in _ROUTES:
        pattern = ("v1", *path.split("/"))
        shaped.setdefault((method, len(pattern)), []).append((pattern, handler))
    for rows in shaped.values():
        rows.sort(key=lambda row: row[0].count("*"))
    return shaped


_BY_SHAPE: Final = _by_shape()
