"""Stripe's real events, of 2017 to 2026: every one is understood, and a dozen are read exactly."""

from datetime import UTC, datetime

from gateway_material import needs_material, read, stripe_events

from bursar.money.gateways import gateway
from bursar.money.gateways.facts import (
    ChargeFact,
    CustomerFact,
    DisputeFact,
    DisputeFundsFact,
    DisputeStatus,
    InvoiceFact,
    InvoiceStatus,
    Line,
    PaymentFact,
    PaymentMethodFact,
    PaymentStatus,
    RefundFact,
    RefundStatus,
    SessionFact,
    SessionPayment,
    SessionStatus,
    SubscriptionFact,
    SubscriptionStatus,
)
from bursar.money.gateways.stripe import READERS

pytestmark = needs_material

K9 = """
    customer.created customer.updated customer.deleted customer.subscription.created customer.subscription.updated
    customer.subscription.deleted customer.subscription.paused customer.subscription.resumed
    customer.subscription.trial_will_end invoice.created invoice.finalized invoice.paid invoice.payment_succeeded
    invoice.payment_failed invoice.payment_action_required invoice.upcoming invoice.voided
    invoice.marked_uncollectible payment_method.attached payment_method.detached payment_method.updated
    setup_intent.succeeded setup_intent.setup_failed checkout.session.completed checkout.session.expired
    checkout.session.async_payment_succeeded checkout.session.async_payment_failed payment_intent.processing
    payment_intent.succeeded payment_intent.payment_failed payment_intent.requires_action payment_intent.canceled
    charge.succeeded charge.failed charge.refunded refund.created refund.updated refund.failed
    charge.dispute.created charge.dispute.updated charge.dispute.closed charge.dispute.funds_withdrawn
    charge.dispute.funds_reinstated
""".split()  # noqa: SIM905


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def facts_of(path, kind=None):
    event = read(f"stripe/events/{path}.json")
    if "data" not in event:
        event = {"data": event}
    return gateway("stripe").translate(type=kind or event["type"], payload=event).facts


def test_every_event_of_the_material_is_translated():
    counts = {"acted on": 0, "ignored": 0}
    for _, event in stripe_events():
        found = gateway("stripe").translate(type=event["type"], payload=event)
        counts["ignored" if found.is_ignored else "acted on"] += 1

    assert counts["acted on"] > 90
    assert counts["ignored"] > 90


def test_every_required_type_is_understood():
    for kind in K9:
        item = {"id": "x_1", "currency": "usd", "amount": 1, "total": 1, "status": "x", "invoice": "in_1"}
        item |= {"status": "needs_response", "charge": "ch_1"} if "dispute" in kind else {}
        item |= {"status": "active"} if "subscription" in kind else {}
        item |= {"status": "open"} if kind.startswith("invoice") else {}
        item |= {"status": "succeeded"} if kind.startswith("refund") else {}
        assert not gateway("stripe").translate(type=kind, payload={"data": {"object": item}}).is_ignored, kind


def test_every_listed_type_without_a_meaning_for_us_is_ignored():
    listed = {kind for kinds in read("stripe/event_types.json").values() if isinstance(kinds, list) for kind in kinds}

    ignored = listed - set(READERS)

    assert len(ignored) > 150
    assert all(gateway("stripe").translate(type=kind, payload={}).is_ignored for kind in ignored)
    assert set(K9) <= set(READERS)


def test_refunded_charge_of_2018_carries_its_refund():
    assert facts_of("teamtnt-2018-05-21/charge.refunded") == (
        ChargeFact(
            ref="ch_00000000000000",
            status=PaymentStatus.succeeded,
            amount_minor=100,
            currency="CAD",
            is_captured=False,
            refunded_minor=100,
            payment_method="card_00000000000000",
            description="My First Test Charge (created for API docs)",
            created_at=at(1531523000),
        ),
        RefundFact(
            ref="re_DE2Nb7jEMsjZsi",
            status=RefundStatus.succeeded,
            amount_minor=100,
            currency="CAD",
            charge="ch_00000000000000",
            created_at=at(1531523000),
        ),
    )


def test_succeeded_payment_of_2020_names_its_charge_and_method():
    assert facts_of("ruby-mock/payment_intent.succeeded") == (
        PaymentFact(
            ref="pi_000000000000000000000000",
            status=PaymentStatus.succeeded,
            amount_minor=2000,
            currency="USD",
            charge="ch_000000000000000000000000",
            payment_method="pm_000000000000000000000000",
            description="(created by Stripe CLI)",
            created_at=at(1648320032),
        ),
    )


def test_succeeded_payment_of_2026_is_worth_its_amount_although_the_object_lags():
    assert facts_of("composed-2026/payment_intent.succeeded") == (
        PaymentFact(
            ref="pi_1PgafyB7WZ01zgkWSjxsAJo3",
            status=PaymentStatus.succeeded,
            amount_minor=1099,
            currency="USD",
            created_at=at(1234567890),
        ),
    )


def test_declined_payment_is_failed_with_the_issuers_reason():
    (fact,) = facts_of("ruby-mock/payment_intent.payment_failed")

    assert fact.status is PaymentStatus.failed
    assert (fact.failure_code, fact.failure_message) == ("generic_decline", "Your card was declined.")


def test_paid_invoice_of_2018_without_a_status_is_paid():
    (fact,) = facts_of("teamtnt-2018-05-21/invoice.payment_succeeded")

    assert fact == InvoiceFact(
        ref="in_00000000000000",
        status=InvoiceStatus.paid,
        total_minor=0,
        paid_minor=0,
        currency="CAD",
        customer="cus_00000000000000",
        charge="_00000000000000",
        number="C756AEF-0001",
        lines=(
            Line(
                ref="sli_94fc1fc228f372",
                prices=("gold", "prod_BTMywD3UV6AkeY"),
                amount_minor=2000,
                subscription="sub_DE2PMNO9Z5fASo",
                period_start=at(1531523172),
                period_end=at(1534201572),
                description="1 × Gold Special (at $20.00 / month)",
            ),
        ),
        billing_reason="manual",
        period_start=at(1531523172),
        period_end=at(1531523172),
        created_at=at(1531523172),
    )


def test_paid_invoice_of_2020_names_payment_and_charge():
    (fact,) = facts_of("ruby-mock/invoice.paid")

    assert (fact.status, fact.total_minor, fact.paid_minor) == (InvoiceStatus.paid, 2000, 2000)
    assert (fact.payments, fact.charge) == (("pi_000000000000000000000000",), "ch_000000000000000000000000")
    assert fact.lines[0].prices == ("price_000000000000000000000000", "prod_00000000000000")
    assert fact.paid_at == at(1648320013)


def test_invoice_of_2025_names_its_subscription_under_its_parent():
    (fact,) = facts_of("pay/invoice.payment_failed", "invoice.payment_failed")

    assert (fact.status, fact.subscription) == (InvoiceStatus.open, "sub_1234")


def test_forecast_of_an_invoice_says_nothing_in_any_layout():
    for path in ("teamtnt-2018-05-21", "ruby-mock", "pay"):
        assert facts_of(f"{path}/invoice.upcoming", "invoice.upcoming") == ()


def test_subscription_of_2018_has_its_period_and_plan_on_itself_and_its_item():
    (fact,) = facts_of("teamtnt-2018-05-21/customer.subscription.updated")

    assert fact == SubscriptionFact(
        ref="sub_00000000000000",
        status=SubscriptionStatus.active,
        customer="cus_00000000000000",
        lines=(Line(ref="si_DE2OHZNbRkCh2N", prices=("gold", "prod_BTMywD3UV6AkeY")),),
        current_period_start=at(1531523109),
        current_period_end=at(1534201509),
        created_at=at(1531523109),
    )


def test_paused_subscription_is_paused_although_the_object_lags():
    (fact,) = facts_of("composed-2026/customer.subscription.paused")

    assert fact.status is SubscriptionStatus.paused


def test_period_that_ends_before_it_starts_is_not_passed_on():
    (fact,) = facts_of("composed-2026/customer.subscription.created")

    assert (fact.current_period_start, fact.current_period_end) == (None, None)


def test_withdrawn_dispute_of_2017_tells_the_dispute_and_the_money():
    dispute, funds = facts_of("ruby-mock/charge.dispute.funds_withdrawn")

    assert dispute == DisputeFact(
        ref="dp_00000000000000",
        status=DisputeStatus.needs_response,
        amount_minor=25000,
        currency="USD",
        charge="ch_00000000000000",
        reason="fraudulent",
        due_by=at(1517529599),
        created_at=at(1516145022),
    )
    assert funds == DisputeFundsFact(
        ref="dp_00000000000000:withdrawn",
        dispute="dp_00000000000000",
        direction="withdrawn",
        amount_minor=25000,
        currency="USD",
        charge="ch_00000000000000",
    )


def test_dispute_from_before_disputes_had_ids_is_named_by_its_charge():
    (fact,) = facts_of("ruby-mock/charge.dispute.closed")

    assert (fact.ref, fact.status) == ("dispute:ch_00000000000000", DisputeStatus.won)


def test_completed_session_of_2020_is_paid():
    assert facts_of("ruby-mock/checkout.session.completed.payment_mode") == (
        SessionFact(
            ref="cs_00000000000000",
            status=SessionStatus.complete,
            payment_status=SessionPayment.paid,
            mode="payment",
            amount_minor=25000,
            currency="USD",
            customer="cus_00000000000000",
            email="example@example.com",
            payment="pi_00000000000000",
        ),
    )


def test_late_success_of_a_session_is_paid_although_the_object_lags():
    (fact,) = facts_of("composed-2026/checkout.session.async_payment_succeeded")

    assert (fact.status, fact.payment_status) == (SessionStatus.complete, SessionPayment.paid)


def test_deleted_customer_is_deleted():
    assert facts_of("ruby-mock/customer.deleted") == (
        CustomerFact(ref="cus_00000000000000", is_deleted=True, created_at=at(1648319961)),
    )


def test_detached_method_is_still_known_as_its_former_owners():
    (fact,) = facts_of("pay/payment_method.detached", "payment_method.detached")

    assert isinstance(fact, PaymentMethodFact)
    assert fact.is_detached
    assert fact.customer == read("stripe/events/pay/payment_method.detached.json")["previous_attributes"]["customer"]
