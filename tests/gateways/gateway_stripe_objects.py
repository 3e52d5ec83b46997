"""The least that each of Stripe's objects can be, and how tests read it."""

import pytest

from bursar.money.gateways import FieldMissing, gateway

INTENT = {"id": "pi_1", "amount": 2000, "currency": "eur", "status": "requires_payment_method"}
CHARGE = {"id": "ch_1", "amount": 2000, "currency": "eur", "status": "succeeded", "captured": True}
REFUND = {"id": "re_1", "amount": 500, "currency": "eur", "status": "succeeded", "charge": "ch_1"}
DISPUTE = {"id": "du_1", "amount": 2000, "currency": "eur", "status": "needs_response", "charge": "ch_1"}
INVOICE = {"id": "in_1", "total": 2000, "amount_due": 2000, "currency": "eur", "status": "open"}
SUBSCRIPTION = {"id": "sub_1", "status": "active", "customer": "cus_1"}
SESSION = {"id": "cs_1", "mode": "payment", "payment_status": "paid", "status": "complete"}


def facts(kind, item, **changed):
    return gateway("stripe").translate(type=kind, payload={"data": {"object": item | changed}}).facts


def fact(kind, item, **changed):
    (found,) = facts(kind, item, **changed)
    return found


def missing(kind, item, **changed):
    with pytest.raises(FieldMissing) as refused:
        facts(kind, item, **changed)
    return refused.value.path
