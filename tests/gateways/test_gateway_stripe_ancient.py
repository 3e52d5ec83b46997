"""What Stripe's adapter makes of layouts from before 2015, and of events that carry no object at all."""

from datetime import UTC, datetime

import pytest
from gateway_stripe_objects import CHARGE, DISPUTE, INVOICE, SESSION, SUBSCRIPTION, fact, facts, missing

from bursar.money.gateways import gateway
from bursar.money.gateways.facts import ChargeFact, DisputeStatus, InvoiceStatus, Line

PLAN = {"id": "gold", "object": "plan", "amount": 2000, "currency": "eur", "interval": "month"}
OF_2012 = {
    "id": "in_1",
    "customer": "cus_1",
    "charge": "ch_1",
    "paid": True,
    "closed": True,
    "total": 1500,
    "amount_due": 1500,
    "lines": {
        "invoiceitems": [{"id": "ii_1", "amount": 100, "currency": "eur"}],
        "prorations": [{"id": "ii_2", "amount": -600, "currency": "eur"}],
        "subscriptions": [{"amount": 2000, "plan": PLAN, "quantity": 2, "period": {"start": 100, "end": 200}}],
    },
}


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def test_invoice_of_2012_has_three_lists_of_lines():
    found = fact("invoice.payment_succeeded", OF_2012)

    assert found.lines == (
        Line(
            prices=("gold",),
            quantity=2,
            amount_minor=2000,
            subscription="subscription:cus_1",
            period_start=at(100),
            period_end=at(200),
        ),
        Line(ref="ii_2", amount_minor=-600, is_proration=True),
        Line(ref="ii_1", amount_minor=100),
    )
    assert (found.status, found.total_minor, found.paid_minor) == (InvoiceStatus.paid, 1500, 1500)


def test_invoice_of_2012_has_the_currency_of_its_lines_and_plans():
    assert fact("invoice.created", OF_2012).currency == "EUR"
    assert fact("invoice.created", OF_2012, lines={"subscriptions": [{"amount": 2000, "plan": PLAN}]}).currency == "EUR"
    assert missing("invoice.created", OF_2012, lines={"subscriptions": [{"amount": 2000}]}) == "data.object.currency"


def test_broken_line_of_2012_is_refused_by_its_path():
    lines = {"subscriptions": [{"amount": "2000", "plan": PLAN}]}

    assert missing("invoice.created", OF_2012, lines=lines) == "data.object.lines.subscriptions[0].amount"


def test_line_of_2014_is_named_by_its_subscription():
    def line(name, kind):
        lines = {"data": [{"id": name, "type": kind, "amount": 2000, "plan": PLAN}]}
        return fact("invoice.paid", INVOICE, lines=lines).lines[0].subscription

    assert line("su_1", "subscription") == "su_1"
    assert line("sub_1", "subscription") == "sub_1"
    assert line("il_1", "subscription") is None
    assert line("sub_1", "invoiceitem") is None


def test_subscription_from_before_it_had_an_id_is_its_customers_only_one():
    of_2012 = {"status": "active", "customer": "cus_1", "plan": PLAN, "start": 100}

    assert fact("customer.subscription.created", of_2012).ref == "subscription:cus_1"
    assert missing("customer.subscription.created", of_2012, customer=None) == "data.object.id"
    assert missing("customer.subscription.created", of_2012, id="") == "data.object.id"


def test_refunds_from_before_they_had_ids_are_in_the_charges_sum():
    of_2013 = [{"object": "refund", "amount": 500, "currency": "eur", "created": 100}]

    (found,) = facts("charge.refunded", CHARGE, refunds=of_2013, amount_refunded=500)

    assert isinstance(found, ChargeFact)
    assert found.refunded_minor == 500


def test_more_than_was_asked_for_cannot_go_back():
    assert fact("charge.refunded", CHARGE, amount_refunded=9000).refunded_minor == 2000


def test_dispute_that_can_no_longer_be_answered_is_under_review():
    assert fact("charge.dispute.updated", DISPUTE, status="response_disabled").status is DisputeStatus.under_review


def test_invoice_that_tells_only_what_was_paid_is_worth_that():
    bare = {"id": "in_1", "currency": "eur", "amount_paid": 2000}

    found = fact("invoice.paid", bare)

    assert (found.total_minor, found.paid_minor) == (2000, 2000)
    assert missing("invoice.paid", {"id": "in_1", "currency": "eur"}) == "data.object.total"


@pytest.mark.parametrize(("cancel_at", "is_ending"), [(None, False), (150, True), (200, True), (900, False)], ids=str)
def test_day_of_ending_after_the_period_is_not_its_end(cancel_at, is_ending):
    period = {"current_period_start": 100, "current_period_end": 200}

    found = fact("customer.subscription.updated", SUBSCRIPTION | period, cancel_at=cancel_at)

    assert found.is_ending is is_ending
    assert (found.cancel_at and found.cancel_at.timestamp()) == cancel_at


def test_session_of_2019_is_worth_what_it_displayed():
    bare = {key: SESSION[key] for key in ("id", "mode")}
    shown = [{"amount": 500, "currency": "eur", "quantity": 3}, {"amount": 100, "currency": "eur"}]

    found = fact("checkout.session.completed", bare, display_items=shown)

    assert (found.amount_minor, found.currency) == (1600, "EUR")
    assert fact("checkout.session.completed", bare, display_items=[*shown, {"quantity": 1}]).amount_minor is None
    assert fact("checkout.session.completed", bare).amount_minor is None


@pytest.mark.parametrize("created", ["2026-02-02T02:40:00Z", "2026-02-02T02:40:00.000Z", "2026-02-02T03:40:00+01:00"])
def test_thin_event_is_named_and_ignored(created):
    body = f'{{"id":"evt_1","object":"v2.core.event","type":"v1.billing.meter.no_meter_found","created":"{created}"}}'

    envelope = gateway("stripe").envelope(headers={}, body=body.encode())

    assert (envelope.event_id, envelope.type) == ("evt_1", "v1.billing.meter.no_meter_found")
    assert envelope.occurred_at == datetime(2026, 2, 2, 2, 40, tzinfo=UTC)
    assert gateway("stripe").translate(type=envelope.type, payload={}).is_ignored
