"""Everything about a person in one document; a person erased by whoever may, and by nobody else."""

import json
from datetime import UTC, datetime

import pytest

from bursar.kernel import ids
from bursar.kernel.permissions import ROLES
from bursar.money.applying.sweeping import sweep_bodies
from stage import event, intent

pytestmark = pytest.mark.anyio

EMAIL = "ada@canary.example"
_LISTS = [
    *(
        "customers",
        "payments",
        "asked_payments",
        "refunds",
        "disputes",
        "dispute_answers",
        "invoices",
        "subscriptions",
        "checkout_sessions",
        "payment_methods",
    ),
    *("orders", "grants", "credit_lots", "credit_movements", "credit_spends", "entitlements", "licences"),
    *(
        "licence_activations",
        "bookings",
        "booking_fees",
        "waitlist_entries",
        "attendees",
        "visits",
        "audit_records",
        "gateway_events",
    ),
]


async def named(caller, **who):
    """Give the customer of the history a name, and return the path to him."""
    told = {"id": "cus_ann", "object": "customer", "name": "Ada Canary", "email": EMAIL} | who
    await caller.stage.tell(event("customer.updated", told, at=1_760_000_900))
    return f"/v1/customers/{(await caller.one('/v1/customers', gateway_ref='cus_ann'))['id']}"


async def finish(stage):
    await stage.apply(retries_max=1)
    await sweep_bodies(stage.db, tenant_id=stage.tenant_id, now=datetime.now(UTC))


def shown(payment):
    """Return what of a payment stays as it is."""
    return {name: payment[name] for name in ("id", "customer", "amount_minor", "status")}


async def desk_of(caller):
    return (await caller.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Desk"})).json()["id"]


async def test_an_export_holds_everything_about_one_person_and_nothing_of_another(lived_world):
    mine = lived_world.mine
    path = await named(mine)
    customer = path.rpartition("/")[2]
    gift = {"customer": customer, "amount": 1, "reason": "a gift for Ada", "pool": "classes"}
    await mine.post("/v1/credit-adjustments", gift)
    await mine.post("/v1/orders", {"customer": customer, "lines": [{"price": "pack-10"}]})

    answer = await mine.post(f"{path}/exports")

    told = answer.json()
    assert answer.status_code == 200
    assert list(told) == ["version", "tenant", "exported_at", *_LISTS, "is_complete"]
    assert [c["id"] for c in told["customers"]] == [customer]
    assert told["customers"][0]["name"] == "Ada Canary"
    assert {p["customer"] for p in told["payments"]} == {customer}
    assert {p["id"] for p in told["payments"]} == {p["id"] for p in await mine.data("/v1/payments", customer=customer)}
    assert [(r["gateway_ref"], r["amount_minor"]) for r in told["refunds"]] == [("re_1", 2500)]
    assert [i["lines"][0]["ref"] for i in told["invoices"]] == ["il_2"]
    assert len(told["subscriptions"]) == len(told["orders"]) == 1
    assert "a gift for Ada" in json.dumps(told["audit_records"])
    assert "cus_ann" in json.dumps(told["gateway_events"])
    assert "cus_bob" not in json.dumps(told)
    assert "cus_eve" not in json.dumps(told)
    record = await mine.one("/v1/audit-records", action="customer.exported")
    assert (record["subject"], record["changes"]) == (customer, {"customers": [customer]})


async def test_an_export_unites_customers_of_one_address_at_every_account_and_is_whole_however_long(
    lived_world, monkeypatch
):
    mine = lived_world.mine
    path = await named(mine)
    cash = {"amount_minor": 5000, "currency": "EUR", "method": "cash", "reference": "c1", "price": "pack-10"}
    await mine.post("/v1/manual-payments", cash | {"email": EMAIL.upper(), "gateway_account": await desk_of(mine)})
    await mine.stage.apply()

    told = (await mine.post(f"{path}/exports")).json()
    monkeypatch.setattr("bursar.money.desk.exporting.ROWS_AT_ONCE", 1)
    monkeypatch.setattr("bursar.money.desk.exporting.EVENTS_AT_ONCE", 2)
    paged = (await mine.post(f"{path}/exports")).json()

    assert [c["gateway_ref"] for c in told["customers"]] == ["cus_ann", f"email:{EMAIL}"]
    assert "c1" in {p["gateway_ref"] for p in told["payments"]}
    assert "manual.payment.recorded" in {e["type"] for e in told["gateway_events"]}
    same = [name for name in _LISTS if name != "audit_records"]
    assert {name: paged[name] for name in same} == {name: told[name] for name in same}
    assert paged["is_complete"] is True


async def test_guests_of_two_desks_are_two_persons_whatever_their_references(lived_world):
    mine = lived_world.mine
    cash = {"amount_minor": 5000, "currency": "EUR", "method": "cash", "reference": "c1", "price": "pack-10"}
    for _ in range(2):
        await mine.post("/v1/manual-payments", cash | {"gateway_account": await desk_of(mine)})
    await mine.stage.apply()
    guests = [payment["customer"] for payment in await mine.data("/v1/payments", gateway_ref="c1")]

    asked = await mine.post(f"/v1/customers/{guests[0]}/erasures", {"ground": "requested"})

    assert len(set(guests)) == 2
    assert asked.json()["customers"] == guests[:1]


async def test_an_erasure_is_asked_for_done_and_told_of_and_late_money_is_granted_to_nobody_by_name(lived_world):
    mine = lived_world.mine
    path = await named(mine)
    customer = path.rpartition("/")[2]
    paid = [shown(payment) for payment in await mine.data("/v1/payments")]
    await mine.post(f"{path}/restorations", {}, once="shown")
    await mine.post("/v1/products", {"name": "Other"}, once="other")

    asked = await mine.post(f"{path}/erasures", {"ground": "requested"})
    await finish(mine.stage)

    assert (asked.status_code, asked.json()["status"], asked.json()["done_at"]) == (202, "pending", None)
    done = (await mine.get(f"/v1/erasures/{asked.json()['id']}")).json()
    assert (done["status"], done["customers"], done["ground"]) == ("done", [customer], "requested")
    told = (await mine.get(path)).json()
    assert (told["name"], told["phone"], told["gateway_ref"]) == (None, None, "cus_ann")
    assert told["email"].endswith("@erased.invalid")
    assert told["erased_at"]
    assert [shown(payment) for payment in await mine.data("/v1/payments")] == paid
    assert await mine.data("/v1/customers", email=EMAIL) == []
    again = await mine.post(f"{path}/restorations", {}, once="shown")
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_answer_not_kept")
    assert (await mine.post("/v1/products", {"name": "Other"}, once="other")).status_code == 201

    before = (await mine.get(f"{path}/credits")).json()
    late = intent("8", metadata={"bursar_price": "pack-10"}, receipt_email=EMAIL, description="for Ada Canary")
    await mine.stage.tell(event("payment_intent.succeeded", late, at=1_760_200_000))

    payment = await mine.one("/v1/payments", gateway_ref="pi_8")
    assert (payment["customer"], payment["amount_minor"], payment["description"]) == (customer, 5000, None)
    assert (await mine.get(f"{path}/credits")).json() != before
    newest = (await mine.data("/v1/gateway-events", type="payment_intent.succeeded"))[0]["id"]
    body = (await mine.get(f"/v1/gateway-events/{newest}/body")).text
    assert "canary" not in body.lower()
    assert '"erased":true' in body


async def test_only_an_owner_erases_whoever_reads_exports_and_nobody_does_so_to_another_business(lived_world):
    mine, theirs = lived_world.mine, lived_world.theirs
    path, foreign = await named(mine), await named(theirs)
    key = (await mine.post("/v1/api-keys", {"name": "reader", "scopes": ["customers:read", "customers:write"]})).json()
    reader = type(mine)(mine.stage, key["key"], mine.http)
    asked = {"ground": "requested"}

    exported = await reader.post(f"{path}/exports")
    refused = [
        await reader.post(f"{path}/erasures", asked),
        await mine.post(f"{foreign}/exports"),
        await mine.post(f"{foreign}/erasures", asked),
        await mine.get(f"/v1/erasures/{ids.show(ids.ERASURE, ids.new())}"),
        await mine.post(f"{path}/erasures", {"ground": "because"}),
        await mine.post(f"{path}/erasures", asked | {"reason": "Ada"}),
    ]

    assert exported.status_code == 200
    assert [(a.status_code, a.json()["code"]) for a in refused] == [
        (403, "permission_missing"),
        (404, "customer_not_found"),
        (404, "customer_not_found"),
        (404, "erasure_not_found"),
        (422, "invalid"),
        (422, "invalid"),
    ]
    assert [name for name, held in ROLES.items() if "customers:erase" in held] == ["owner"]
    assert await mine.stage.value("select count(*) from erasure") == 0
    assert await theirs.stage.value("select count(*) from erasure") == 0


async def test_desk_payments_of_an_erased_person_are_repeated_and_refunded_without_harm(lived_world):
    mine = lived_world.mine
    path = await named(mine)
    desk = await desk_of(mine)
    cash = {
        "amount_minor": 5000,
        "currency": "EUR",
        "method": "cash",
        "reference": "c1",
        "customer": path.rpartition("/")[2],
        "description": "coins of Ada",
        "price": "pack-10",
        "gateway_account": desk,
    }
    await mine.post("/v1/manual-payments", cash)
    await mine.stage.apply()
    payment = (await mine.one("/v1/payments", gateway_ref="c1"))["id"]
    refund = {"payment": payment, "amount_minor": 100, "reference": "r1", "reason": "Ada was unhappy"}
    await mine.post("/v1/manual-refunds", refund)
    await mine.stage.apply()

    await mine.post(f"{path}/erasures", {"ground": "requested"})
    await finish(mine.stage)

    repeated = await mine.post("/v1/manual-payments", cash)
    once_more = await mine.post("/v1/manual-refunds", refund)
    further = await mine.post("/v1/manual-refunds", refund | {"reference": "r2", "reason": None})
    await mine.stage.apply()
    assert (repeated.status_code, repeated.json()["code"]) == (409, "manual_reference_reused")
    assert (once_more.status_code, once_more.json()["code"]) == (409, "manual_reference_reused")
    assert further.status_code == 202
    assert (await mine.get(f"/v1/payments/{payment}")).json()["refunded_minor"] == 200
    assert (await mine.get(f"/v1/payments/{payment}")).json()["description"] is None
    assert (await mine.one("/v1/refunds", gateway_ref="r1"))["reason"] is None
