"""The Stripe caller against the sandbox's server, which keeps state: what is asked happens, and happens once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bursar.money.gateways import calls, gateway
from bursar.money.gateways.callers import Callers
from bursar.money.gateways.calling import Credentials, GatewayBusy, GatewayRefused, OutcomeUnknown
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import Claim
from sandboxing import sandbox_at

pytestmark = pytest.mark.anyio

BACK = "https://shop.example/back"


class Shop:
    """The sandbox's caller with an account's credentials, and a fresh key for every new intent."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.callers = Callers()
        self.caller = self.callers.of("sandbox")
        self.credentials = Credentials(sandbox.key, sandbox.url)
        self.since = datetime.now(UTC) - timedelta(minutes=1)
        self._keys = 0

    def key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"

    async def do(self, call, key=None, **more):
        key = key or self.key()
        return await self.caller.execute(call, credentials=self.credentials, idempotency_key=key, **more)

    async def find(self, call, key):
        return await self.caller.find(call, credentials=self.credentials, idempotency_key=key, since=self.since)

    async def fetch(self, kind, ref):
        return await self.caller.fetch(kind, ref, credentials=self.credentials)

    async def refs(self, kind, **more):
        """Return the refs of all objects, through as many pages as there are."""
        found, cursor = [], None
        while True:
            page = await self.caller.objects(kind, credentials=self.credentials, cursor=cursor, **more)
            found += [answer.ref for answer in page.answers]
            cursor = page.cursor
            if cursor is None:
                return found

    async def customer_with(self, card="pm_card_visa"):
        customer = (await self.do(calls.CreateCustomer(email="ann@example.com", name="Ann"))).ref
        saved = await self.do(calls.AttachPaymentMethod(payment_method=card, customer=customer))
        return customer, saved.ref

    async def paid(self, amount=1500):
        customer, method = await self.customer_with()
        call = calls.CreatePayment(amount_minor=amount, currency="EUR", customer=customer, payment_method=method)
        return await self.do(call)


@pytest.fixture
async def shop(tmp_path):
    async with sandbox_at(tmp_path) as sandbox:
        made = Shop(sandbox)
        yield made
        await made.callers.close()


def fact_of(answer):
    return gateway("sandbox").translate_object(kind=answer.kind, object=answer.object)[0]


async def test_money_is_taken_and_given_back_in_parts(shop):
    paid = await shop.paid()
    part = calls.CreateRefund(refund="re_ours", payment=paid.ref, amount_minor=500, currency="EUR")

    refund = await shop.do(part)

    assert (fact_of(paid).status, fact_of(paid).amount_minor) == ("succeeded", 1500)
    assert (fact_of(refund).amount_minor, fact_of(refund).bursar_refund) == (500, "re_ours")
    with pytest.raises(GatewayRefused) as refused:
        await shop.do(calls.CreateRefund(refund="re_2", payment=paid.ref, amount_minor=1001, currency="EUR"))
    assert refused.value.param == "amount" or refused.value.code
    assert len(await shop.refs(Kind.refund)) == 1


async def test_the_same_key_is_one_effect_and_its_answer_says_that_it_is_repeated(shop):
    paid = await shop.paid()
    call = calls.CreateRefund(refund="re_ours", payment=paid.ref, amount_minor=500, currency="EUR")

    first = await shop.do(call, key="once")
    again = await shop.do(call, key="once")

    assert (first.is_replayed, again.is_replayed, again.ref) == (False, True, first.ref)
    assert await shop.refs(Kind.refund) == [first.ref]


async def test_a_key_of_another_call_is_refused_as_such(shop):
    paid = await shop.paid()
    await shop.do(calls.CreateRefund(refund="re_1", payment=paid.ref, amount_minor=5, currency="EUR"), key="once")

    with pytest.raises(GatewayRefused) as refused:
        await shop.do(calls.CreateRefund(refund="re_1", payment=paid.ref, amount_minor=6, currency="EUR"), key="once")

    assert refused.value.is_same_key


async def test_what_was_done_and_never_answered_is_found_by_our_mark(shop):
    paid = await shop.paid()
    call = calls.CreateRefund(refund="re_ours", payment=paid.ref, amount_minor=500, currency="EUR")
    assert await shop.find(call, "once") is None
    await shop.sandbox.control("misbehave", {"lose": 1.0})

    with pytest.raises(OutcomeUnknown):
        await shop.do(call, key="once")

    found = await shop.find(call, "once")
    assert fact_of(found).bursar_refund == "re_ours"
    assert await shop.refs(Kind.refund) == [found.ref]
    other = calls.CreateRefund(refund="re_other", payment=paid.ref, amount_minor=500, currency="EUR")
    assert await shop.find(other, "other") is None


async def test_made_customers_payments_and_checkouts_are_found_by_our_mark(shop):
    customer, method = await shop.customer_with()
    made = [
        calls.CreateCustomer(email="bob@example.com", name="Bob"),
        calls.CreatePayment(amount_minor=700, currency="EUR", customer=customer, payment_method=method),
        calls.SetupPaymentMethod(customer=customer, payment_method=method, return_url=BACK),
        checkout(customer=customer),
    ]
    for call in made:
        key = shop.key()
        assert await shop.find(call, key) is None
        answer = await shop.do(call, key=key)
        assert (await shop.find(call, key)).ref == answer.ref


async def test_a_kept_failure_is_told_from_a_new_one(shop):
    call = calls.CreateCustomer(email="ann@example.com")
    await shop.sandbox.control("misbehave", {"fail": 1.0, "fail_is_kept": True})

    with pytest.raises(OutcomeUnknown) as first:
        await shop.do(call, key="once")
    await shop.sandbox.control("misbehave", {"fail": 0.0})
    with pytest.raises(OutcomeUnknown) as again:
        await shop.do(call, key="once")

    assert (first.value.is_replayed, again.value.is_replayed) == (False, True)
    assert await shop.find(call, "once") is None


async def test_a_gateway_that_turns_us_away_did_nothing(shop):
    for switch in ({"rate_limit": True}, {"rate_limit": False, "down": "unavailable"}):
        await shop.sandbox.control("misbehave", switch)
        with pytest.raises(GatewayBusy):
            await shop.do(calls.CreateCustomer(email="ann@example.com"))
    await shop.sandbox.control("misbehave", {"down": "no"})

    assert await shop.refs(Kind.customer) == []


async def test_a_decline_says_why_and_shows_the_payment(shop):
    customer, method = await shop.customer_with("pm_card_chargeCustomerFail")

    with pytest.raises(GatewayRefused) as refused:
        await shop.do(calls.CreatePayment(amount_minor=500, currency="EUR", customer=customer, payment_method=method))

    told = refused.value
    assert (told.status, told.code, told.object_kind) == (402, "card_declined", Kind.payment)
    (fact,) = gateway("sandbox").translate_object(kind=told.object_kind, object=told.object)
    assert (fact.status, fact.amount_minor) == ("failed", 500)


async def test_a_payment_that_needs_its_customer_says_where_to_send_him(shop):
    customer, method = await shop.customer_with("pm_card_authenticationRequired")
    with pytest.raises(GatewayRefused) as refused:
        await shop.do(calls.CreatePayment(amount_minor=500, currency="EUR", customer=customer, payment_method=method))

    told = await shop.do(
        calls.ConfirmPayment(payment=refused.value.object["id"], payment_method=method, return_url=BACK)
    )

    assert refused.value.code == "authentication_required"
    assert fact_of(told).status == "requires_action"
    assert told.url.startswith(shop.sandbox.url)


def checkout(**more):
    line = calls.CheckoutLine(amount_minor=1500, currency="EUR", name="Mat", quantity=2)
    return calls.CreateCheckout(
        mode=calls.CheckoutMode.payment,
        success_url=BACK,
        cancel_url=BACK,
        lines=(line,),
        claim=Claim(order="ord_1", price="pass-10", quantity="2"),
        **more,
    )


async def test_a_checkout_is_opened_and_closed(shop):
    opened = await shop.do(checkout(email="ann@example.com"))
    closed = await shop.do(calls.ExpireCheckout(session=opened.ref))

    assert opened.url.startswith(shop.sandbox.url)
    assert (fact_of(opened).status, fact_of(opened).claim.order, fact_of(opened).amount_minor) == (
        "open",
        "ord_1",
        3000,
    )
    assert fact_of(closed).status == "expired"
    assert (await shop.find(calls.ExpireCheckout(session=opened.ref), "any")).ref == opened.ref


async def test_a_way_to_pay_is_saved_made_the_default_and_forgotten(shop):
    customer, method = await shop.customer_with()

    default = await shop.do(calls.SetDefaultPaymentMethod(payment_method=method, customer=customer))
    listed = await shop.refs(Kind.payment_method, customer=customer)
    gone = await shop.do(calls.DetachPaymentMethod(payment_method=method, customer=customer))

    assert default.object["invoice_settings"]["default_payment_method"] == method
    assert listed == [method]
    assert fact_of(gone).is_detached
    assert await shop.refs(Kind.payment_method, customer=customer) == []


async def test_objects_are_listed_through_every_page_and_fetched_as_they_are(shop):
    made = [(await shop.do(calls.CreateCustomer(email=f"{n}@example.com"))).ref for n in range(5)]

    listed = await shop.refs(Kind.customer, limit=2)
    later = await shop.refs(Kind.customer, since=datetime.now(UTC) + timedelta(hours=1))

    assert listed == made[::-1]
    assert later == []
    assert (await shop.fetch(Kind.customer, made[0])).object["email"] == "0@example.com"
    assert await shop.fetch(Kind.customer, "cus_nobody") is None


async def test_one_of_many_simultaneous_repeats_takes_effect(shop):
    paid = await shop.paid()
    call = calls.CreateRefund(refund="re_ours", payment=paid.ref, amount_minor=100, currency="EUR")

    told = await asyncio.gather(*(shop.do(call, key="once") for _ in range(8)), return_exceptions=True)

    refs = {answer.ref for answer in told if not isinstance(answer, Exception)}
    assert await shop.refs(Kind.refund) == list(refs)
