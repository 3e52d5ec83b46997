"""Products and prices."""

from bursar.money.gateways.fields import Json
from bursar.sandbox import shapes
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.refusals import invalid
from bursar.sandbox.work import Work

_INTERVALS = ("day", "week", "month", "year")


def create_product(work: Work, params: Params) -> Json:
    """POST /v1/products"""
    made = shapes.product(work.now, params.need("name"))
    ref = params.text("id")
    if ref:
        if work.find("product", ref):
            raise invalid(f"Product already exists: {ref}", param="id", code="resource_already_exists")
        made["id"] = ref
    made |= {
        "active": params.flag("active", default=True),
        "description": params.text("description"),
        "metadata": params.mapping("metadata"),
        "images": params.texts("images"),
    }
    params.accept("tax_code", "unit_label", "url", "shippable", "statement_descriptor", "type")
    work.save(made)
    work.tell("product.created", made)
    return made


def update_product(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/products/{id}"""
    found = work.need("product", ref)
    return work.change("product.updated", found, updated=work.now, **_changes(params, found, "name", "description"))


def create_price(work: Work, params: Params) -> Json:
    """POST /v1/prices"""
    ref = params.text("product")
    data = params.child("product_data")
    if ref:
        product = work.need("product", ref, param="product")["id"]
    elif data:
        product = create_product(work, data)["id"]
    else:
        raise invalid("You must pass either product or product_data.", param="product", code="parameter_missing")
    made = _price(work, params, product)
    made |= {"nickname": params.text("nickname"), "metadata": params.mapping("metadata")}
    key = params.text("lookup_key")
    transfers = params.flag("transfer_lookup_key")
    for other in work.all("price", lookup_key=key) if key else []:
        if not transfers:
            raise invalid(f"A price (`{other['id']}`) already uses that lookup key.", param="lookup_key")
        work.change("price.updated", other, lookup_key=None)
    made["lookup_key"] = key
    made["active"] = params.flag("active", default=True)
    work.save(made)
    work.tell("price.created", made)
    return made


def update_price(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/prices/{id}"""
    found = work.need("price", ref)
    return work.change("price.updated", found, **_changes(params, found, "nickname", "lookup_key"))


def price_of(work: Work, item: Params) -> Json:
    """Return the price that an item names, or makes up on the spot (`price_data`)."""
    ref = item.text("price")
    data = item.child("price_data")
    if ref:
        found = work.need("price", ref, param=item.named("price"))
        if not found["active"]:
            raise invalid(
                f"The price specified is inactive. This field only accepts active prices: {ref}",
                param=item.named("price"),
            )
        return found
    if data is None:
        raise invalid("You must pass either price or price_data.", param=item.named("price"), code="parameter_missing")
    inline = data.child("product_data")
    product = data.text("product") or (create_product(work, inline)["id"] if inline else None)
    made = _price(work, data, work.need("product", product, param=data.named("product"))["id"])
    made["active"] = False
    return work.save(made)


def plan_of(price: Json) -> Json | None:
    """Return the plan that Stripe still shows beside a recurring price."""
    recurring = price["recurring"]
    if recurring is None:
        return None
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    return {name: price[name] for name in same} | {
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "meter": None,
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _changes(params: Params, found: Json, *texts: str) -> Json:
    """Return what is to be changed of a product or a price."""
    changes: Json = {name: params.text(name) for name in texts if params.has(name)}
    if params.has("active"):
        changes["active"] = params.flag("active")
    if params.has("metadata"):
        changes["metadata"] = merged(found["metadata"], params.mapping("metadata"))
    return changes


def _price(work: Work, params: Params, product: str) -> Json:
    currency = params.need("currency").lower()
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):  # noqa: PLR2004 - ISO 4217
        raise invalid(f"Invalid currency: {currency}.", param=params.named("currency"))
    recurring = params.child("recurring")
    params.accept("tax_behavior", "billing_scheme")
    return shapes.price(
        work.now,
        product=product,
        currency=currency,
        unit_amount=params.need_whole("unit_amount", least=0),
        recurring=_recurring(recurring) if recurring else None,
    )


def _recurring(params: Params) -> Json:
    params.accept("usage_type")
    return {
        "interval": params.need("interval", among=_INTERVALS),
        "interval_count": params.whole("interval_count", 1, least=1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
