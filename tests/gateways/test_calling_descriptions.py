"""Our requests against the gateways' own descriptions of their APIs, and their fixtures through our reading of answers.

The descriptions are older than the SDKs that we use, so what they do not know yet is listed here by name.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from calling_examples import BACK, EXAMPLES, KEY, NOON, SECRET, answers_of
from gateway_material import MATERIAL, needs_material, read
from wire_double import Asked, answer, double

from bursar.money.gateways import calls, gateway
from bursar.money.gateways.callers import Callers
from bursar.money.gateways.calling import Credentials, OperationUnsupported
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import Claim

yaml = pytest.importorskip("yaml", reason="PyYAML reads the descriptions")
pytestmark = [pytest.mark.anyio, needs_material]

MORE = (
    calls.CreateCheckout(
        mode=calls.CheckoutMode.subscription,
        success_url=BACK,
        lines=(calls.CheckoutLine(amount_minor=900, currency="EUR", name="Club", interval=calls.Interval.month),),
        email="ada@example.org",
        trial_end=NOON,
        expires_at=NOON,
    ),
    calls.CreateCheckout(mode=calls.CheckoutMode.setup, success_url=BACK, customer="cus_1", currency="EUR"),
    calls.CreateCheckout(
        mode=calls.CheckoutMode.payment,
        success_url=BACK,
        lines=(calls.CheckoutLine(price="pdt_1", amount_minor=900),),
        email="ada@example.org",
        saves_payment_method=True,
    ),
    calls.CreatePayment(
        amount_minor=1, currency="JPY", customer="cus_1", payment_method="pm_1", is_off_session=False, return_url=BACK
    ),
    calls.SetDefaultPaymentMethod(payment_method="pm_1", customer="cus_1"),
    calls.CreateRefund(refund="re_ours", charge="ch_1", currency="EUR", reason=calls.RefundReason.other),
    calls.CreateRefund(refund="re_ours", payment="pi_1", currency="EUR"),
    calls.ChangeSubscription(
        subscription="sub_1", price="price_2", item="si_1", proration=calls.Proration.none, proration_at=NOON
    ),
    calls.ChangeSubscription(subscription="sub_1", price="price_2", is_kept_unpaid=True),
    calls.ChangeSubscription(subscription="sub_1", price="price_2", claim=Claim(price="price_ours", quantity="2")),
    calls.ChangeSubscription(subscription="sub_1", price="price_2", proration=calls.Proration.full_now),
    calls.CancelSubscriptionNow(subscription="sub_1", is_prorated=True),
)

# In the API since the description was written (2023-09-12, 2025-09-18).
NEWER = {
    "POST /v1/subscriptions/{}/pause": "the whole method (2026)",
    "POST /v1/invoices/create_preview": "the whole method (2024-06-20)",
    "PATCH /subscriptions/{}": {"status=paused", "cancellation_comment"},
    "POST /subscriptions/{}/change-plan": {
        "proration_billing_mode=prorated_immediately_keep_cycle",
        "on_payment_failure",
        "metadata",
    },
    "POST /subscriptions/{}/change-plan/preview": "the whole method",
    "POST /subscriptions/{}/update-payment-method": "the whole method",
    "DELETE /customers/{}/payment-methods/{}": "the whole method",
    "GET /customers/{}/payment-methods": "the whole method",
    "GET /payments/{}/line-items": "the whole method",
    "POST /refunds": {"currency", "metadata"},
    # A new customer's name was required then; what fits least badly is none at all.
    "POST /checkouts": {"cancel_url", "customer is no null"},
    "POST /customers": {"metadata"},
    "POST /customers/{}/customer-portal/session": {"return_url"},
}


@pytest.fixture(scope="module")
def stripe_description() -> dict[str, Any]:
    """Return the paths that we use. The whole document takes seconds to read, so only their blocks are."""
    text = (MATERIAL / "stripe" / "openapi" / "spec3.2023-09-12.yaml").read_text("utf-8")
    text = text[text.index("\npaths:\n") :]
    wanted = r"checkout/sessions|customers|payment_intents|setup_intents|payment_methods|refunds|files|disputes|subscriptions|billing_portal/sessions"
    blocks = re.findall(
        rf'(?m)^  ["\']?(/v1/(?:{wanted})(?:/{{[a-z_]+}})?(?:/[a-z]+)?)["\']?:\n((?:    .*\n|\n)+)', text
    )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {path: yaml.load(body, Loader=loader) for path, body in blocks}


@pytest.fixture(scope="module")
def dodo_description() -> dict[str, Any]:
    text = (MATERIAL / "dodo" / "openapi.documented.2025-09-18.yml").read_text("utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


async def requests_of(name: str) -> list[Asked]:
    """Return every request that this gateway's caller makes for the examples."""
    async with double() as server:
        answers_of(name, server)
        callers = Callers(now=lambda: NOON)
        for call in (*EXAMPLES, *MORE):
            try:
                await callers.of(name).execute(call, credentials=Credentials(SECRET, server.url), idempotency_key=KEY)
            except OperationUnsupported:
                continue
        await callers.close()
        return server.asked


async def test_stripe_requests_are_as_its_description_says(stripe_description):
    found = await requests_of("stripe")

    problems, methods = set(), set()
    for asked in found:
        path, operation = _operation_of(stripe_description, asked)
        methods.add(f"{asked.method} {path}")
        if operation is None:
            problems.add(f"{asked.method} {path}: the whole method")
            continue
        if asked.method == "GET" or "multipart" in asked.headers.get("content-type", ""):
            continue
        schema = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
        problems |= {f"{asked.method} {path}: {told}" for told in _misfits(_nested(asked.form), schema, "")}

    assert "\n".join(sorted(p for p in problems if not _is_newer(p))) == ""
    assert len(methods) >= 20


async def test_dodo_requests_are_as_its_description_says(dodo_description):
    found = await requests_of("dodo")

    problems, methods = set(), set()
    for asked in found:
        path, operation = _operation_of(dodo_description["paths"], asked)
        methods.add(f"{asked.method} {path}")
        if operation is None:
            problems.add(f"{asked.method} {path}: the whole method")
        elif asked.body:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            told = _misfits(asked.json, schema, "", dodo_description)
            problems |= {f"{asked.method} {path}: {one}" for one in told}

    assert "\n".join(sorted(p for p in problems if not _is_newer(p))) == ""
    assert len(methods) >= 10


STRIPE_RESOURCES = {
    Kind.session: "checkout.session",
    Kind.customer: "customer",
    Kind.payment: "payment_intent",
    Kind.charge: "charge",
    Kind.refund: "refund",
    Kind.dispute: "dispute",
    Kind.invoice: "invoice",
    Kind.subscription: "subscription",
    Kind.payment_method: "payment_method",
    Kind.setup: "setup_intent",
    Kind.balance_transaction: "balance_transaction",
    Kind.file: "file",
}


async def test_stripe_fixtures_are_fetched_listed_and_read():
    resources = read("stripe/openapi/fixtures3.json")["resources"]
    async with double() as server:
        callers = Callers(now=lambda: NOON)
        caller, credentials = callers.of("stripe"), Credentials(SECRET, server.url)
        for kind, name in STRIPE_RESOURCES.items():
            item = resources[name]
            page = {"object": "list", "url": "/", "has_more": False, "data": [item]}
            server.otherwise = answer(200, item)
            told = await caller.fetch(kind, "x_1", credentials=credentials)
            server.otherwise = answer(200, page)
            if kind in caller.lists:
                listed = await caller.objects(kind, credentials=credentials, customer="cus_1")
                assert [a.ref for a in listed.answers] == [item["id"]]

            assert told.ref == item["id"]
            facts = gateway("stripe").translate_object(kind=kind, object=told.object)
            assert all(fact.ref for fact in facts)
        await callers.close()


def _operation_of(paths: dict[str, Any], asked: Asked) -> tuple[str, Any]:
    """Return the described path with its names left out, and what is described there; None where nothing is."""
    for path in sorted(paths, key=lambda path: path.count("{")):
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", path), asked.path):
            return re.sub(r"\{[^}]+\}", "{}", path), paths[path].get(asked.method.lower())
    return re.sub(r"/[a-z]+_\d+(?=/|$)", "/{}", asked.path), None


def _is_newer(problem: str) -> bool:
    method, _, told = problem.partition(": ")
    known = NEWER.get(method, set())
    return told == "the whole method" if isinstance(known, str) else told in known


def _nested(form: list[tuple[str, str]]) -> dict[str, Any]:
    """Return what a form's names with brackets mean."""
    found: dict[str, Any] = {}
    for name, value in form:
        keys = re.findall(r"[^\[\]]+", name)
        place = found
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return found


def _misfits(value: Any, schema: dict[str, Any], at: str, document: Any = None) -> Iterator[str]:  # noqa: C901, PLR0912 - one line for each kind of schema
    """Yield what a value has that its schema does not describe."""
    if "$ref" in schema:
        found = document
        for key in schema["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        schema = found
    options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if options:
        told = [list(_misfits(value, option, at, document)) for option in options]
        yield from min(told, key=len)
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}={value}"
    elif isinstance(value, dict) and schema.get("type") == "array":
        for item in value.values():
            yield from _misfits(item, schema["items"], at, document)
    elif isinstance(value, list):
        for item in value:
            yield from _misfits(item, schema.get("items", {}), at, document)
    elif isinstance(value, dict):
        known = schema.get("properties", {})
        open_to = schema.get("additionalProperties")
        if schema.get("type") not in (None, "object"):
            yield f"{at} is no {schema['type']}"
            return
        for key, inner in value.items():
            name = f"{at}.{key}" if at else key
            if key in known:
                yield from _misfits(inner, known[key], name, document)
            elif not open_to:
                yield name
        yield from (f"{at} lacks {key}" for key in schema.get("required", ()) if key not in value)
    elif schema.get("type") == "integer" and not re.fullmatch(r"-?\d+", str(value)):
        yield f"{at} is no integer"
    elif schema.get("type") == "boolean" and str(value).lower() not in ("true", "false"):
        yield f"{at} is no boolean"
    elif schema.get("type") in ("object", "array"):
        yield f"{at} is no {schema['type']}"
