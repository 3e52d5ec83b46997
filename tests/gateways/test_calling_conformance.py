"""What every gateway's calling half promises, asked of all of them: one request, our key, one deadline, and what may be done."""

import asyncio
import logging
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from calling_examples import DODO, EXAMPLES, KEY, NOON, SECRET, STRIPE_ROUTES, answers_of, stripe_object
from hostile_json import ruined
from wire_double import (
    Double,
    answer,
    double,
    drip,
    flood,
    reset_before_the_answer,
    reset_in_the_body,
    self_signed,
    silence,
)

from bursar.money.gateways import calls, gateway
from bursar.money.gateways.callers import Callers
from bursar.money.gateways.calling import (
    Answer,
    Caller,
    CallFailed,
    Credentials,
    CredentialsRefused,
    GatewayBusy,
    GatewayRefused,
    NotSent,
    OperationUnsupported,
    OutcomeUnknown,
    StillRunning,
)
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import Claim
from bursar.money.gateways.registry import GATEWAYS

pytestmark = pytest.mark.anyio

REFUND = next(call for call in EXAMPLES if isinstance(call, calls.CreateRefund))
WHOLE = calls.CreateRefund(refund="re_ours", payment="pi_1", currency="EUR")
WITH_AN_OUTSIDE = ("stripe", "sandbox", "dodo")


@dataclass
class Setting:
    server: Double
    callers: Callers
    caller: Caller
    credentials: Credentials

    async def execute(self, call, **more) -> Answer:
        return await self.caller.execute(call, credentials=self.credentials, idempotency_key=KEY, **more)

    async def find(self, call) -> Answer | None:
        return await self.caller.find(call, credentials=self.credentials, idempotency_key=KEY, since=NOON)


@pytest.fixture
async def setting(name):
    async with double() as server:
        answers_of(name, server)
        callers = Callers(now=lambda: NOON)
        yield Setting(server, callers, callers.of(name), Credentials(SECRET, server.url))
        await callers.close()


def supports(caller, call) -> bool:
    try:
        caller.check(call)
    except OperationUnsupported:
        return False
    return True


def test_every_operation_has_an_example():
    assert {type(call) for call in EXAMPLES} == set(calls.OPERATIONS.values())


def test_every_gateway_has_a_caller():
    callers = Callers()

    assert [callers.of(name).name for name in GATEWAYS] == list(GATEWAYS)


@pytest.mark.parametrize("name", GATEWAYS)
@pytest.mark.parametrize("call", EXAMPLES, ids=lambda call: call.operation)
async def test_a_call_is_made_or_refused_by_name_with_what_to_do_instead(setting, name, call):
    if not supports(setting.caller, call):
        with pytest.raises(OperationUnsupported) as refused:
            await setting.execute(call)
        assert refused.value.hint
        assert setting.server.asked == []
        return

    told = await setting.execute(call)

    effects = [asked for asked in setting.server.asked if asked.method != "GET"]
    assert len(effects) == 1
    assert told.at == NOON
    assert told.ref or told.kind in (Kind.preview, Kind.portal_session)
    assert "canary" not in repr(told)
    gateway(name).translate_object(kind=told.kind, object=told.object)
    if isinstance(call, calls.CreateCheckout | calls.CreatePortalSession):
        assert told.url.startswith("https://")


@pytest.mark.parametrize("name", ["stripe", "dodo"])
@pytest.mark.parametrize("call", EXAMPLES, ids=lambda call: call.operation)
async def test_the_same_call_is_the_same_request(setting, name, call):
    if not supports(setting.caller, call):
        pytest.skip("refused by name")
    await setting.execute(call)
    first = [(asked.method, asked.target, _fixed(asked)) for asked in setting.server.asked]
    setting.server.asked.clear()

    await setting.execute(calls.decode(calls.encode(call)))

    assert [(asked.method, asked.target, _fixed(asked)) for asked in setting.server.asked] == first


def _fixed(asked) -> bytes:
    """The body without the boundary between the parts of a file, which is random so that no content can hold it."""
    kind = asked.headers.get("content-type", "")
    return asked.body.replace(kind.partition("boundary=")[2].encode(), b"") if "boundary=" in kind else asked.body


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_key_version_and_credentials_are_sent_as_they_are(setting, name):
    await setting.execute(WHOLE)

    (asked,) = setting.server.asked
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    if name == "dodo":
        assert "idempotency-key" not in asked.headers
        assert asked.json["metadata"] == {"bursar_refund": "re_ours", "bursar_call": KEY}
    else:
        assert asked.headers["idempotency-key"] == KEY
        assert asked.headers["stripe-version"] == "2026-10-28.endive"
        assert dict(asked.form)["metadata[bursar_refund]"] == "re_ours"
        assert dict(asked.form)["metadata[bursar_call]"] == KEY
        assert "x-stripe-client-telemetry" not in asked.headers


def stripe_error(**words):
    return {"error": {"message": "No.", "type": "invalid_request_error"} | words}


STRIPE_FAILURES = {
    "402 declined": (
        answer(
            402,
            stripe_error(
                type="card_error",
                code="card_declined",
                decline_code="insufficient_funds",
                payment_intent=stripe_object(Kind.payment, status="requires_payment_method"),
            ),
        ),
        GatewayRefused,
        {"code": "card_declined", "decline_code": "insufficient_funds", "status": 402, "object_kind": Kind.payment},
    ),
    "400 parameter": (
        answer(400, stripe_error(code="parameter_invalid_integer", param="amount"), request_id="req_9"),
        GatewayRefused,
        {"code": "parameter_invalid_integer", "param": "amount", "is_same_key": False, "request_id": "req_9"},
    ),
    "400 key of another call": (
        answer(400, stripe_error(type="idempotency_error", message="Keys for idempotent requests …")),
        GatewayRefused,
        {"is_same_key": True, "code": "idempotency_error"},
    ),
    "400 old rate limit": (answer(400, stripe_error(code="rate_limit")), GatewayBusy, {"after_s": None}),
    "404": (answer(404, stripe_error(code="resource_missing")), GatewayRefused, {"code": "resource_missing"}),
    "409": (answer(409, stripe_error(code="idempotency_key_in_use")), StillRunning, {"status": 409}),
    "429 lock": (answer(429, stripe_error(code="lock_timeout")), GatewayBusy, {"status": 429}),
    "500": (answer(500, stripe_error(type="api_error")), OutcomeUnknown, {"is_replayed": False, "status": 500}),
    "500 replayed": (
        answer(500, stripe_error(type="api_error"), idempotent_replayed="true"),
        OutcomeUnknown,
        {"is_replayed": True},
    ),
    "503 replayed": (
        answer(503, stripe_error(type="api_error"), idempotent_replayed="true"),
        OutcomeUnknown,
        {"is_replayed": True},
    ),
    "424": (answer(424, stripe_error(type="api_error")), OutcomeUnknown, {"status": 424}),
}
DODO_FAILURES = {
    "400": (answer(400, {"code": "INVALID_REQUEST_BODY", "message": "No."}), GatewayRefused, {"status": 400}),
    "404": (answer(404, {"code": "NOT_FOUND", "message": "No."}), GatewayRefused, {"code": "NOT_FOUND"}),
    "409": (answer(409, {"code": "PREVIOUS_PAYMENT_PENDING", "message": "No."}), GatewayRefused, {"status": 409}),
    "422": (answer(422, {"code": "UNPROCESSABLE", "message": "No."}), GatewayRefused, {"code": "UNPROCESSABLE"}),
    "500": (answer(500, {"code": "INTERNAL", "message": "No."}), OutcomeUnknown, {"is_replayed": False}),
}
ANY_FAILURES = {
    "401": (answer(401, stripe_error(message=f"Invalid API Key: {SECRET}")), CredentialsRefused, {"status": 401}),
    "403": (answer(403, b"<html>forbidden</html>"), CredentialsRefused, {"status": 403}),
    "429 seconds": (answer(429, stripe_error(), retry_after="7"), GatewayBusy, {"after_s": 7.0}),
    "429 date": (
        answer(429, stripe_error(), retry_after="Sat, 21 Nov 2026 12:00:30 GMT"),
        GatewayBusy,
        {"after_s": 30.0},
    ),
    "429 far": (answer(429, b"slow down", retry_after="999999"), GatewayBusy, {"after_s": 3600.0}),
    "429 nonsense": (answer(429, b"", retry_after="soon"), GatewayBusy, {"after_s": None}),
    "503": (answer(503, b"maintenance", retry_after="3"), GatewayBusy, {"after_s": 3.0}),
    "502": (answer(502, b"<html>bad gateway</html>"), OutcomeUnknown, {"status": 502}),
    "408": (answer(408, b"{}"), OutcomeUnknown, {"status": 408}),
    "302": (answer(302, b"", location="http://127.0.0.1:1/"), OutcomeUnknown, {"status": 302}),
    "400 unreadable": (answer(400, b"<html>"), OutcomeUnknown, {"status": 400}),
    "200 not JSON": (answer(200, b"<html>ok</html>"), OutcomeUnknown, {"status": 200}),
    "200 cut": (answer(200, b'{"id": "re_1", "obj'), OutcomeUnknown, {"status": 200}),
    "200 a list": (answer(200, b"[]"), OutcomeUnknown, {}),
    "200 not an object of theirs": (answer(200, b"{}"), OutcomeUnknown, {}),
    "200 deep": (answer(200, b"[" * 50_000), OutcomeUnknown, {}),
    "reset in the body": (reset_in_the_body, OutcomeUnknown, {}),
    "reset before the answer": (reset_before_the_answer, OutcomeUnknown, {}),
    "too large": (flood, OutcomeUnknown, {}),
}
FAILURES = [
    pytest.param(name, *row, id=f"{name}: {word}")
    for name, table in (
        ("stripe", ANY_FAILURES | STRIPE_FAILURES),
        ("sandbox", {word: STRIPE_FAILURES[word] for word in ("402 declined", "409")}),
        ("dodo", ANY_FAILURES | DODO_FAILURES),
    )
    for word, row in table.items()
]


@pytest.mark.parametrize(("name", "handler", "error", "told"), FAILURES)
async def test_a_failure_says_what_may_be_done_once_and_without_secrets(setting, handler, error, told, caplog):
    caplog.set_level(logging.DEBUG)
    setting.server.routes.clear()
    setting.server.otherwise = handler

    with pytest.raises(CallFailed) as failed:
        await setting.execute(WHOLE)

    assert type(failed.value) is error, failed.value
    assert {field: getattr(failed.value, field) for field in told} == told
    assert len(setting.server.asked) == 1
    seen = f"{failed.value!r} {failed.value.message} {failed.value.__cause__!r} {failed.value.__dict__} {caplog.text}"
    assert "canary" not in seen
    assert failed.value.message


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_a_gateway_that_is_not_there_was_not_reached(setting):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(NotSent):
            await setting.caller.execute(WHOLE, credentials=Credentials(SECRET, nobody), idempotency_key=KEY)
        with pytest.raises(NotSent):
            await setting.caller.execute(
                WHOLE, credentials=Credentials(SECRET, "http://nobody.invalid"), idempotency_key=KEY
            )


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
@pytest.mark.parametrize("handler", [silence, drip], ids=["silence", "a byte at a time"])
async def test_a_call_ends_at_its_deadline_and_its_outcome_is_unknown(setting, handler):
    setting.server.routes.clear()
    setting.server.otherwise = handler
    began = asyncio.get_running_loop().time()

    with pytest.raises(OutcomeUnknown):
        await setting.execute(WHOLE, deadline_s=0.3)

    assert asyncio.get_running_loop().time() - began < 2
    assert len(setting.server.asked) == 1


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(setting, tmp_path):
    async with double(self_signed(tmp_path)) as impostor:
        with pytest.raises(NotSent):
            await setting.caller.execute(WHOLE, credentials=Credentials(SECRET, impostor.url), idempotency_key=KEY)

    assert impostor.asked == []


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_an_object_that_is_not_there_is_none(setting):
    setting.server.routes.clear()
    setting.server.otherwise = answer(404, stripe_error(code="resource_missing") | {"code": "NOT_FOUND"})

    assert await setting.caller.fetch(Kind.refund, "re_9", credentials=setting.credentials) is None


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_an_object_is_fetched_by_kind_and_ref(setting, name):
    ref = "ref_1" if name == "dodo" else "re_1"

    told = await setting.caller.fetch(Kind.refund, ref, credentials=setting.credentials)

    assert (told.kind, told.ref, told.at) == (Kind.refund, ref, NOON)
    (fact,) = (f for f in gateway(name).translate_object(kind=told.kind, object=told.object) if f.kind == "refund")
    assert fact.bursar_refund == "re_ours"


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_an_effect_is_found_again_by_our_own_mark(setting, name):
    if name != "dodo":
        page = {"object": "list", "url": "/v1/refunds", "has_more": False, "data": [stripe_object(Kind.refund)]}
        setting.server.on("GET /v1/refunds*", answer(200, page))
        setting.server.routes["GET /v1/refunds*"] = answer(200, page)

    found = await setting.find(REFUND)

    assert found.object["metadata"]["bursar_refund"] == "re_ours"


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_an_effect_of_another_intent_is_not_taken_for_ours(setting, name):
    other = calls.CreateRefund(refund="re_other", payment="pi_1", currency="EUR", amount_minor=250)
    if name != "dodo":
        page = {"object": "list", "url": "/v1/refunds", "has_more": False, "data": [stripe_object(Kind.refund)]}
        setting.server.on("GET /v1/refunds*", answer(200, page))

    assert await setting.find(other) is None


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_a_state_that_is_there_already_needs_no_second_call(setting):
    active = calls.ResumeSubscription(subscription="sub_1")
    paused = calls.PauseSubscription(subscription="sub_1")

    assert (await setting.find(active)).ref == "sub_1"
    assert await setting.find(paused) is None
    assert all(asked.method == "GET" for asked in setting.server.asked)


@pytest.mark.parametrize("name", ["stripe", "dodo"])
@pytest.mark.parametrize("call", EXAMPLES, ids=lambda call: call.operation)
async def test_looking_again_changes_nothing(setting, name, call):
    if not supports(setting.caller, call):
        pytest.skip("refused by name")
    for kind in ("refunds", "payment_intents", "customers", "checkout/sessions", "setup_intents"):
        empty = {"object": "list", "url": "/", "has_more": False, "data": []}
        setting.server.routes = {f"GET /v1/{kind}": answer(200, empty), **setting.server.routes}
    setting.server.on("GET /customers", answer(200, {"items": []}))

    await setting.find(call)

    assert all(asked.method == "GET" for asked in setting.server.asked)


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_while_it_cannot_look_nothing_is_known(setting):
    setting.server.routes.clear()
    setting.server.otherwise = answer(500, {"error": {"message": "down"}})

    with pytest.raises(OutcomeUnknown):
        await setting.find(REFUND)


@pytest.mark.parametrize("name", ["stripe", "sandbox"])
async def test_a_repeated_answer_is_shown_as_the_object_is_now(setting):
    then = stripe_object(Kind.refund, status="pending")
    setting.server.routes.clear()
    setting.server.on("POST /v1/refunds", answer(200, then, idempotent_replayed="true"))
    setting.server.on("GET /v1/refunds/re_1", answer(200, stripe_object(Kind.refund, status="succeeded")))

    told = await setting.execute(WHOLE)

    assert (told.object["status"], told.at, told.is_replayed) == ("succeeded", NOON, True)


@pytest.mark.parametrize("name", ["stripe"])
async def test_a_repeated_answer_that_cannot_be_looked_up_is_as_old_as_its_object(setting):
    then = stripe_object(Kind.refund, status="pending")
    setting.server.routes.clear()
    setting.server.on("POST /v1/refunds", answer(200, then, idempotent_replayed="true"))

    told = await setting.execute(WHOLE)

    assert (told.object["status"], told.at) == ("pending", datetime.fromtimestamp(1_760_000_000, UTC))


@pytest.mark.parametrize("name", WITH_AN_OUTSIDE)
async def test_objects_are_listed_by_time_page_by_page_with_both_ends_exact(setting, name):
    since, until = NOON - timedelta(days=1), NOON + timedelta(microseconds=1)
    pages = _dodo_pages(setting.server) if name == "dodo" else _stripe_pages(setting.server)

    first = await setting.caller.objects(
        Kind.payment, credentials=setting.credentials, since=since, until=until, limit=2
    )
    second = await setting.caller.objects(
        Kind.payment, credentials=setting.credentials, since=since, until=until, limit=2, cursor=first.cursor
    )

    assert [a.ref for a in first.answers] == ["pi_3", "pi_2"]
    assert [a.ref for a in second.answers] == ["pi_1"]
    assert second.cursor is None
    assert [asked.query for asked in setting.server.asked] == pages


def _stripe_pages(server):
    def page(refs, *, has_more):
        data = [stripe_object(Kind.payment, id=ref) for ref in refs]
        return answer(200, {"object": "list", "url": "/v1/payment_intents", "has_more": has_more, "data": data})

    async def handle(asked, writer):
        is_second = dict(asked.query).get("starting_after") == "pi_2"
        await page(["pi_1"] if is_second else ["pi_3", "pi_2"], has_more=not is_second)(asked, writer)

    server.routes.clear()
    server.otherwise = handle
    noon = int(NOON.timestamp())
    span = [("created[gte]", str(noon - 86_400)), ("created[lt]", str(noon + 1)), ("limit", "2")]
    return [span, [*span, ("starting_after", "pi_2")]]


def _dodo_pages(server):
    def item(ref, at):
        return {"payment_id": ref, "total_amount": 1, "currency": "EUR", "created_at": at.isoformat()}

    async def handle(asked, writer):
        late = NOON + timedelta(microseconds=1)
        items = [item("pi_1", NOON), item("pi_9", late)] if ("page_number", "1") in asked.query else None
        if items is not None:
            await answer(200, {"items": items[:1]})(asked, writer)
        else:
            await answer(200, {"items": [item("pi_3", NOON), item("pi_2", NOON)]})(asked, writer)

    server.routes.clear()
    server.otherwise = handle
    span = [("created_at_gte", "2026-11-20T12:00:00+00:00"), ("created_at_lte", "2026-11-21T12:00:00.000001+00:00")]
    return [[*span, ("page_number", str(n)), ("page_size", "2")] for n in range(2)]


@pytest.mark.parametrize("name", ["dodo"])
async def test_dodo_payment_methods_are_listed_of_their_customer_and_read(setting):
    page = await setting.caller.objects(Kind.payment_method, credentials=setting.credentials, customer="cus_1")
    gone = await setting.execute(calls.DetachPaymentMethod(payment_method="pm_1", customer="cus_1"))

    saved, detached = (
        gateway("dodo").translate_object(kind=told.kind, object=told.object)[0] for told in (page.answers[0], gone)
    )
    assert (saved.ref, saved.customer, saved.brand, saved.last4) == ("pm_2", "cus_1", "visa", "4242")
    assert (saved.exp_month, saved.exp_year, saved.is_detached) == (1, 2030, False)
    assert (detached.ref, detached.customer, detached.is_detached) == ("pm_1", "cus_1", True)
    assert page.cursor is None


@pytest.mark.parametrize("name", ["dodo"])
async def test_dodo_partial_refund_is_spread_over_what_is_left_of_each_item(setting):
    await setting.execute(REFUND)
    with pytest.raises(GatewayRefused) as refused:
        await setting.execute(calls.CreateRefund(refund="re_2", payment="pi_1", currency="EUR", amount_minor=501))

    asked = [asked.json for asked in setting.server.asked if asked.method == "POST"]
    assert [told["items"] for told in asked] == [
        [
            {"item_id": "pdt_1", "amount": 200, "tax_inclusive": True},
            {"item_id": "pdt_2", "amount": 50, "tax_inclusive": True},
        ]
    ]
    assert refused.value.code == "amount_too_large"


@pytest.mark.parametrize("name", ["stripe"])
async def test_a_change_says_what_is_sold_now_and_takes_the_order_away(setting):
    claim = Claim(price="price_ours", quantity="2")

    await setting.execute(calls.ChangeSubscription(subscription="sub_1", price="price_2", claim=claim))

    (asked,) = (dict(asked.form) for asked in setting.server.asked if asked.method == "POST")
    told = {name: value for name, value in asked.items() if name.startswith("metadata")}
    assert told == {
        "metadata[bursar_order]": "",
        "metadata[bursar_price]": "price_ours",
        "metadata[bursar_quantity]": "2",
    }


@pytest.mark.parametrize("name", ["dodo"])
async def test_dodo_change_replaces_what_was_said_of_the_sale_and_keeps_the_rest(setting):
    claim = Claim(price="price_ours", quantity="2")

    await setting.execute(calls.ChangeSubscription(subscription="sub_1", price="price_2", claim=claim))

    (asked,) = (asked.json for asked in setting.server.asked if asked.method == "POST")
    assert asked["metadata"] == {"bursar_price": "price_ours", "bursar_quantity": "2", "bursar_call": KEY}


@pytest.mark.parametrize("name", ["stripe"])
async def test_only_the_checkout_names_the_order_of_a_subscription(setting):
    call = next(call for call in EXAMPLES if isinstance(call, calls.CreateCheckout))
    claim = Claim(order="ord_1", price="price_ours")
    await setting.execute(msgspec.structs.replace(call, mode=calls.CheckoutMode.subscription, claim=claim))

    (asked,) = (dict(asked.form) for asked in setting.server.asked)
    assert asked["metadata[bursar_order]"] == "ord_1"
    assert asked["subscription_data[metadata][bursar_price]"] == "price_ours"
    assert "subscription_data[metadata][bursar_order]" not in asked


@pytest.mark.parametrize("name", ["dodo"])
async def test_dodo_change_keeps_the_add_ons_that_are_there(setting):
    await setting.execute(calls.ChangeSubscription(subscription="sub_1", price="price_2"))

    (asked,) = (asked.json for asked in setting.server.asked if asked.method == "POST")
    assert asked["addons"] == [{"addon_id": "adn_1", "quantity": 2}]
    assert asked["on_payment_failure"] == "prevent_change"


@pytest.mark.parametrize("name", ["stripe"])
@pytest.mark.parametrize(
    ("currency", "minor", "sent"), [("EUR", 1, "1"), ("JPY", 7, "7"), ("ISK", 5, "500"), ("MGA", 300, "3")]
)
async def test_stripe_is_told_amounts_in_its_own_units(setting, currency, minor, sent):
    await setting.execute(calls.CreateRefund(refund="re_1", payment="pi_1", currency=currency, amount_minor=minor))

    assert dict(setting.server.asked[0].form)["amount"] == sent


@pytest.mark.parametrize("name", ["stripe"])
async def test_an_amount_that_stripe_has_no_unit_for_is_refused_unsent(setting):
    with pytest.raises(GatewayRefused):
        await setting.execute(calls.CreateRefund(refund="re_1", payment="pi_1", currency="MGA", amount_minor=250))

    assert setting.server.asked == []


@pytest.mark.parametrize("name", GATEWAYS)
async def test_what_cannot_be_listed_is_refused_by_name(setting):
    for kind in set(Kind) - setting.caller.lists:
        with pytest.raises(OperationUnsupported):
            await setting.caller.objects(kind, credentials=setting.credentials)

    assert setting.server.asked == []


@pytest.mark.parametrize("name", ["stripe", "dodo"])
async def test_a_preview_says_what_is_due_now(setting, name):
    told = await setting.execute(calls.PreviewSubscriptionChange(subscription="sub_1", price="price_2"))

    assert (told.preview.due_now_minor, told.preview.currency) == (1000, "EUR")
    assert told.preview.tax_minor == (160 if name == "dodo" else 200)
    assert [line.amount_minor for line in told.preview.lines] == ([1000] if name == "dodo" else [-500, 1300])
    assert "idempotency-key" not in setting.server.asked[-1].headers or name == "stripe"


@pytest.mark.parametrize("name", ["stripe", "dodo"])
@pytest.mark.parametrize("bad", [[], {"id": []}, 10**30, "x\x00"], ids=["list", "object", "number", "nul"])
async def test_an_answer_of_hostile_values_is_an_answer_or_its_failure(setting, name, bad):
    held = DODO if name == "dodo" else {route: stripe_object(kind) for route, kind in STRIPE_ROUTES.items()}
    for route, body in held.items():
        setting.server.on(route, answer(200, ruined(body, bad)))
    listed = {"items": [{"refund_id": bad, "metadata": bad}], "refunds": [{"refund_id": bad}], "data": [{"id": bad}]}
    asked = 0

    for bodies in ({}, {"metadata": bad, "status": bad} | listed):
        for route in held if bodies else ():
            setting.server.on(route, answer(200, bodies))
        for call in EXAMPLES:
            for ask in (setting.execute, setting.find):
                with suppress(CallFailed, OperationUnsupported):
                    assert isinstance(await ask(call), Answer | None)
                asked += 1

    assert asked == 4 * len(EXAMPLES)


@pytest.mark.parametrize("name", ["stripe"])
async def test_a_subscription_whose_line_has_no_name_is_not_changed(setting):
    line = {"price": {"id": "price_1"}, "quantity": 1}
    whole = stripe_object(Kind.subscription, items={"data": [line]})
    setting.server.on("GET /v1/subscriptions*", answer(200, whole))

    with pytest.raises(GatewayRefused) as refused:
        await setting.execute(calls.ChangeSubscription(subscription="sub_1", price="price_2"))

    assert refused.value.code == "item_ambiguous"
    assert [asked.method for asked in setting.server.asked] == ["GET"]


@pytest.mark.parametrize("name", ["stripe"])
async def test_a_list_that_could_not_be_continued_is_none(setting):
    setting.server.on("GET /v1/refunds*", answer(200, {"data": [{"id": ""}], "has_more": True}))

    with pytest.raises(OutcomeUnknown):
        await setting.caller.objects(Kind.refund, credentials=setting.credentials)


def dodo_preview(line: str, total: str = "1000") -> bytes:
    summary = f'{{"currency": "eur", "total_amount": {total}}}'
    return f'{{"immediate_charge": {{"line_items": [{line}], "summary": {summary}}}}}'.encode()


DODO_PREVIEW = "POST /subscriptions/sub_1/change-plan/preview"
PREVIEW = calls.PreviewSubscriptionChange(subscription="sub_1", price="price_2")


@pytest.mark.parametrize("name", ["dodo"])
@pytest.mark.parametrize(
    ("line", "amount_minor", "is_proration"),
    [
        ('{"unit_price": 90, "quantity": 1, "proration_factor": 0.35}', 32, True),
        ('{"unit_price": 15, "quantity": 3, "proration_factor": 0.7}', 32, True),
        ('{"unit_price": 5, "quantity": 1, "proration_factor": 1e300}', 5, False),
        ('{"unit_price": 5, "proration_factor": ["1"]}', 5, False),
        ('{"proration_factor": -0.5}', 0, True),
    ],
)
async def test_a_line_of_a_preview_is_reckoned_as_it_is_written(setting, line, amount_minor, *, is_proration):
    setting.server.on(DODO_PREVIEW, answer(200, dodo_preview(line)))

    (told,) = (await setting.execute(PREVIEW)).preview.lines

    assert (told.amount_minor, told.is_proration) == (amount_minor, is_proration)


@pytest.mark.parametrize("name", ["dodo"])
@pytest.mark.parametrize(
    "body",
    [
        dodo_preview('{"unit_price": 1' + "0" * 30 + "}"),
        dodo_preview('{"unit_price": 9007199254740991, "quantity": 2}'),
        dodo_preview('{"unit_price": 1, "quantity": -1}'),
        dodo_preview("", "1e300"),
        dodo_preview("", "[]"),
        b'{"immediate_charge": [1]}',
    ],
)
async def test_a_preview_that_cannot_be_is_none(setting, body):
    setting.server.on(DODO_PREVIEW, answer(200, body))

    with pytest.raises(OutcomeUnknown, match="the preview cannot be read"):
        await setting.execute(PREVIEW)


@pytest.mark.parametrize("name", ["sandbox"])
async def test_the_sandbox_is_never_looked_for_at_the_real_gateway(setting):
    with pytest.raises(CredentialsRefused):
        await setting.caller.execute(WHOLE, credentials=Credentials(SECRET), idempotency_key=KEY)


def test_the_api_does_not_load_what_only_workers_need():
    code = "import sys, bursar.web.app, bursar.money.gateways.callers; print(sorted({'stripe','dodopayments','httpx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
