"""Where a gateway shows an object to people, as far as its addresses are public. Pure."""

from typing import Final

from bursar.money.gateways.calls import Kind

_PAGES: Final = {
    ("stripe", Kind.payment): "https://dashboard.stripe.com/payments/{}",
    ("stripe", Kind.subscription): "https://dashboard.stripe.com/subscriptions/{}",
}
_HOMES: Final = {"stripe": "https://dashboard.stripe.com", "dodo": "https://app.dodopayments.com"}


def page_of(gateway: str, kind: Kind, ref: str) -> str | None:
    """Return the address of an object's page, or of the gateway's own first page; None: it has no pages."""
    page = _PAGES.get((gateway, kind))
    is_plain = ref.replace("_", "").isalnum() and ref.isascii()
    return page.format(ref) if page and is_plain else _HOMES.get(gateway)
