"""The sandbox's objects against Stripe's own fixtures: every field is there, and of the same kind."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bursar.money.gateways.stripe import READERS
from bursar.money.gateways.stripe.events import translate
from sandboxing import SECRET, Sandbox

SPEC = Path("/work/shared/material/stripe/openapi/spec3.2023-09-12.yaml")
FIXTURES = Path("/work/shared/material/stripe/openapi/fixtures3.json")

pytestmark = pytest.mark.skipif(not FIXTURES.exists(), reason="Stripe's fixtures are not on this machine")

MOVED = {
    "invoice": ("paid", "paid_out_of_band", "total_tax_amounts"),
    "line_item": ("proration", "type"),
    "product": ("features",),
    "subscription": ("current_period_end", "current_period_start"),
}
"""What the description of 2023 requires and Stripe has moved or renamed since, most of it in 2025-03-31 "basil"."""

LEFT_OUT = {
    "invoice": {"subscription"},  # moved into `parent` in 2025; the fixture still shows it
    "charge": {"refunds"},  # only for those who expand it
    "customer": set(),
    "mandate": set(),
}


def strays(made: dict[str, Any], fixture: dict[str, Any], at: str) -> list[str]:
    """Return the fields that are missing, or are of another kind than the fixture's where both have a value."""
    found = []
    for name, value in fixture.items():
        if name not in made:
            found.append(f"{at}.{name} is missing")
        elif value is not None and made[name] is not None and type(made[name]) is not type(value):
            found.append(f"{at}.{name} is {type(made[name]).__name__}, not {type(value).__name__}")
    return found


async def everything(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """Return one object of each kind, as the API answers it."""
    customer = await sandbox.done("POST", "/v1/customers", {"email": "ann@example.com"})
    method = await sandbox.done("POST", "/v1/payment_methods/pm_card_visa/attach", {"customer": customer["id"]})
    price = await sandbox.done(
        "POST",
        "/v1/prices",
        {"currency": "eur", "unit_amount": 3000, "recurring": {"interval": "month"}, "product_data": {"name": "Gold"}},
    )
    subscription = await sandbox.done(
        "POST",
        "/v1/subscriptions",
        {"customer": customer["id"], "items": [{"price": price["id"]}], "default_payment_method": method["id"]},
    )
    paid = await sandbox.done(
        "POST",
        "/v1/payment_intents",
        {"amount": 2000, "currency": "eur", "payment_method": "pm_card_createDisputeInquiry", "confirm": True},
    )
    await sandbox.advance(60)
    item = {"customer": customer["id"], "amount": 500, "currency": "eur"}
    line = {"price_data": {"currency": "eur", "unit_amount": 1500, "product_data": {"name": "Class"}}}
    session = {"mode": "payment", "line_items": [line], "success_url": "https://example.com", "expand": ["line_items"]}
    made = [
        customer,
        method,
        price,
        subscription,
        subscription["items"]["data"][0],
        paid,
        await sandbox.done("GET", f"/v1/products/{price['product']}"),
        await sandbox.done("GET", f"/v1/charges/{paid['latest_charge']}"),
        await sandbox.done("POST", "/v1/refunds", {"payment_intent": paid["id"], "amount": 100}),
        await sandbox.done("POST", "/v1/setup_intents", {"customer": customer["id"]}),
        await sandbox.done("POST", "/v1/invoiceitems", item),
        await sandbox.done("POST", "/v1/checkout/sessions", session),
        await sandbox.done("GET", f"/v1/invoices/{subscription['latest_invoice']}"),
        await sandbox.done("POST", "/v1/billing_portal/sessions", {"customer": customer["id"]}),
        await sandbox.done("POST", "/v1/webhook_endpoints", {"url": "https://example.com", "enabled_events": ["x"]}),
        *[
            (await sandbox.done("GET", f"/v1/{name}"))["data"][0]
            for name in ("balance_transactions", "disputes", "invoice_payments", "events")
        ],
    ]
    found = {one["object"]: one for one in made}
    found["item"] = found["checkout.session"]["line_items"]["data"][0]
    found["line_item"] = found["invoice"]["lines"]["data"][0]
    return found


async def test_every_object_has_the_fields_of_stripes_own(sandbox: Sandbox) -> None:
    resources = json.loads(FIXTURES.read_text())["resources"]

    made = await everything(sandbox)

    assert len(made) == 21
    wrong = []
    for kind, one in made.items():
        fixture = {name: value for name, value in resources[kind].items() if name not in LEFT_OUT.get(kind, set())}
        wrong += strays(one, fixture, kind)
    assert wrong == []


async def test_what_it_tells_is_understood_and_is_what_stripe_tells(sandbox: Sandbox) -> None:
    known = set(json.loads((FIXTURES.parents[1] / "event_types.json").read_text())["sdk"])
    await sandbox.control("accounts", {"key": sandbox.key, "deliver_to": "http://127.0.0.1:9/x", "secret": SECRET})
    await everything(sandbox)

    events = (await sandbox.done("GET", "/v1/events", {"limit": 100}))["data"]

    assert {event["type"] for event in events} <= known
    assert {event["type"] for event in events} & set(READERS)
    for event in events:
        translate(event["type"], event)


def plain(schema: Any) -> Any:
    """Return OpenAPI's schema as JSON Schema knows it, without what stands elsewhere: each object is held to its own."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {}
    inner = {name: plain(one) for name, one in schema.items() if name not in ("nullable", "x-expansionResources")}
    return {"anyOf": [{"type": "null"}, inner]} if schema.get("nullable") else inner


def schemas(kinds: set[str]) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the description")
    text = SPEC.read_text("utf-8")
    text = text[text.index("\n  schemas:\n") : text.index("\npaths:\n")]
    names = "|".join(re.escape(kind) for kind in kinds)
    blocks = re.findall(rf"(?m)^    ({names}):\n((?:      .*\n|\n)+)", text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {kind: plain(yaml.load(body, Loader=loader)) for kind, body in blocks}


async def test_every_object_fits_stripes_description_of_it(sandbox: Sandbox) -> None:
    validators = pytest.importorskip("jsonschema_rs", reason="jsonschema-rs checks against the description")
    made = await everything(sandbox)
    found = schemas(set(made))

    assert len(found) >= 18
    wrong = {
        ".".join([kind, *map(str, error.instance_path)]) + f": {error.message[:140]}"
        for kind, schema in found.items()
        for error in validators.Draft202012Validator(schema).iter_errors(made[kind])
    }
    moved = {f'{kind}: "{name}" is a required property' for kind, names in MOVED.items() for name in names}
    assert wrong == moved
