"""A person who is erased is in no table any more, and nothing that comes late or again brings the person back; the money stays."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from bursar.bootstrap import registry
from bursar.kernel import ids
from bursar.kernel.audit import record
from bursar.money import calls
from bursar.money.applying.sweeping import sweep_bodies
from bursar.money.desk.erasing import erase_customer, erasure
from bursar.money.gateways.calls import CheckoutMode, CreateCheckout, Kind
from bursar.money.gateways.reports import Source, report_event
from bursar.money.intake.filing import Filing, file_deliveries, file_written
from bursar.money.intake.replays import replay_matching
from bursar.money.trail import check_chain
from bursar.operations.fingerprint import Fingerprint, fingerprint
from bursar.operations.snapshots import reading
from bursar.operations.verify import standing_kinds, verify
from stage import Stage, charge, event, intent, invoice, refund, session, set_stage, subscription

pytestmark = pytest.mark.anyio

EMAIL = "Ada@Canary.example"
WORDS = ("canary", "4930777000111", "kanarienvogel")
WHO = {"name": "Ada Canary", "email": EMAIL, "phone": "+4930777000111"}
BILLED = {"billing_details": WHO | {"address": {"line1": "Kanarienvogelweg 7"}}}
_PAYMENTS = "select gateway_ref, customer_id, status, amount_minor from payment order by gateway_ref"
_TELLING = {
    "audit_note",
    "customer",
    "gateway_call",
    "gateway_event_body",
    "gateway_event_differing",
    "gateway_object",
    "invoice",
    "payment",
    "refund",
}
_UNTOUCHED = ("ledger_entry", "ledger_balance", "gateway_event", "credit_spend", "subscription")


def story() -> list[dict[str, Any]]:
    """What a gateway tells of one person in two guises, and of another who names the first."""
    month = invoice("2", customer_email=EMAIL)
    month["lines"]["data"][0]["description"] = "A month for Ada Canary"
    card = {"brand": "visa", "last4": "7391", "exp_month": 1, "exp_year": 2030}
    bob = {"id": "cus_bob", "object": "customer", "name": "Bob Other", "email": "bob@example.org"}
    return [
        event("customer.created", {"id": "cus_ann", "object": "customer", **WHO}),
        event("checkout.session.completed", session(customer_details=WHO)),
        event("payment_intent.succeeded", intent(receipt_email=EMAIL, description="Lessons for Ada Canary")),
        event("charge.succeeded", charge(description="Lessons for Ada Canary", **BILLED)),
        event("refund.created", refund(reason="Canary changed her mind")),
        event("invoice.paid", month),
        event("customer.subscription.created", subscription()),
        event(
            "payment_method.attached",
            {"id": "pm_1", "object": "payment_method", "type": "card", "customer": "cus_ann", "card": card, **BILLED},
        ),
        event("checkout.session.completed", session("5", customer=None, customer_details=WHO)),
        event("charge.succeeded", charge("5", customer=None, **BILLED)),
        event(
            "customer.source.created", {"id": "card_1", "object": "card", "customer": "cus_ann", "name": "Ada Canary"}
        ),
        event("charge.succeeded", {"id": "ch_bad", "object": "charge", "customer": "cus_ann", **BILLED}, id="evt_dead"),
        event("customer.created", bob | {"metadata": {"referred_by": EMAIL}}),
        event("checkout.session.completed", session("9", customer="cus_bob")),
        event("payment_intent.succeeded", intent("9", customer="cus_bob", receipt_email=EMAIL)),
    ]


async def lived(stage: Stage) -> UUID:
    """Play the story, with words of our own beside it; return the customer."""
    told = story()
    await stage.deliver(*told)
    await deliver_differing(stage, told[0])
    await show(
        stage, Kind.customer, {"id": "cus_ann", "object": "customer", **WHO, "created": 1_760_000_000}, at=1_760_000_000
    )
    await stage.apply(retries_max=1)
    customer_id: UUID = await stage.value("select id from customer where gateway_ref = 'cus_ann'")
    async with stage.db.tenant(stage.tenant_id) as tx:
        for subject, reason in ((ids.show(ids.CUSTOMER, customer_id), "she moved"), (None, "asked by Ada Canary")):
            await record(
                tx,
                tenant_id=stage.tenant_id,
                actor="operator",
                action="credits.adjusted",
                subject=subject,
                changes={"amount": 1, "reason": reason},
            )
        await ask_and_end(tx, stage)
    return customer_id


async def ask_and_end(tx: Any, stage: Stage) -> None:
    """Ask the gateway for something that names the person, and have it answered."""
    call = CreateCheckout(mode=CheckoutMode.payment, success_url="https://studio.example.org", email=EMAIL)
    await calls.ask(
        tx,
        tenant_id=stage.tenant_id,
        account_id=stage.account_id,
        call=call,
        subject="cs_1",
        key="checkout:1",
        actor="operator",
    )
    await tx.execute("update gateway_call set state = 'succeeded', ended_at = now()")
    await tx.execute("delete from job")


async def show(stage: Stage, kind: Kind, item: dict[str, Any], *, at: int) -> None:
    """Let the gateway show an object when it is asked."""
    told = report_event(kind=kind, object=item, at=datetime.fromtimestamp(at, UTC), source=Source.fetch)
    async with stage.db.tenant(stage.tenant_id) as tx:
        await file_written(tx, tenant_id=stage.tenant_id, account_id=stage.account_id, event=told)


async def deliver_differing(stage: Stage, told: dict[str, Any]) -> None:
    body = json.dumps(told | {"api_version": "2026-01-01"}).encode()
    at = datetime.fromtimestamp(told["created"], UTC)
    filing = Filing(
        ids.new(), stage.tenant_id, stage.account_id, told["id"], told["type"], "gateway", at, {}, body, None
    )
    await file_deliveries(stage.db, [filing])


async def erase(stage: Stage, customer_id: UUID) -> UUID:
    """Ask for an erasure and let it be done."""
    async with stage.db.tenant(stage.tenant_id) as tx:
        asked = await erase_customer(
            tx,
            tenant_id=stage.tenant_id,
            customer_id=customer_id,
            ground="requested",
            actor="operator",
            now=datetime.now(UTC),
        )
    await finish(stage)
    return asked.id


async def finish(stage: Stage) -> None:
    await stage.apply(retries_max=1)
    await sweep_bodies(stage.db, tenant_id=stage.tenant_id, now=datetime.now(UTC))


async def named_of(stage: Stage) -> Fingerprint:
    async with reading(stage.url) as connection:
        return await fingerprint(connection, stage.tenant_id)


async def broken(stage: Stage) -> list[Any]:
    async with reading(stage.url) as connection:
        found = await verify(connection, stage.tenant_id, standing_kinds=standing_kinds(registry()))
    return [invariant for invariant in found.invariants if not invariant.ok]


async def replay_everything(stage: Stage) -> None:
    async with stage.db.tenant(stage.tenant_id) as tx:
        await replay_matching(tx, tenant_id=stage.tenant_id, filter={}, actor="operator", reason="all of it")
    await stage.apply(retries_max=1)


async def where_named(admin_url: str) -> list[str]:
    """Return every table of the database, with the row, in which any of the person's words stands, plain or as bytes."""
    connection = await asyncpg.connect(admin_url)
    sought = [form for word in WORDS for form in (word, word.encode().hex())]
    tables = await connection.fetch(
        """select c.relname as name from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"""
    )
    found = []
    for table in tables:
        rows = await connection.fetch(f"select t::text as told from {table['name']} t")
        found += [f"{table['name']}: {row['told'][:200]}" for row in rows if is_named(row["told"], sought)]
    await connection.close()
    return found


def is_named(told: str, sought: list[str]) -> bool:
    # Bytes are shown as hexadecimal digits, whose case folding has to happen before they were that.
    lowered = told.lower()
    capital = [word.capitalize().encode().hex() for word in WORDS]
    return any(form in lowered for form in (*sought, *capital))


async def test_after_an_erasure_no_table_names_the_person_and_the_money_stays(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    customer_id = await lived(stage)
    await stage.seal()
    before, payments = await named_of(stage), await stage.rows(_PAYMENTS)
    # The control: nothing below passes because there was nothing to find.
    assert {found.partition(":")[0] for found in await where_named(admin_url)} >= _TELLING

    erased = await erase(stage, customer_id)

    assert await where_named(admin_url) == []
    after = await named_of(stage)
    assert {name: digest.rows for name, digest in after.tables.items()} == {
        name: digest.rows for name, digest in before.tables.items()
    }
    assert [name for name in _UNTOUCHED if after.tables[name] != before.tables[name]] == []
    assert await stage.rows(_PAYMENTS) == payments
    assert await broken(stage) == []
    async with db.tenant(stage.tenant_id) as tx:
        told = await erasure(tx, tenant_id=stage.tenant_id, erasure_id=erased)
    assert (told.status, len(told.customers)) == ("done", 2)
    assert await stage.row("select method, brand, last4, exp_year from payment_method") == {
        "method": "card",
        "brand": None,
        "last4": None,
        "exp_year": None,
    }
    ann, bob, unnamed = await stage.rows(
        "select id, gateway_ref, name, phone, erased_at is not null as gone from customer order by gateway_ref"
    )
    assert set(told.customers) == {ann["id"], unnamed["id"]}
    assert (ann["gateway_ref"], ann["name"], ann["phone"], ann["gone"]) == ("cus_ann", None, None, True)
    assert unnamed["gateway_ref"].startswith("email:erased-")
    assert (bob["gateway_ref"], bob["name"], bob["gone"]) == ("cus_bob", "Bob Other", False)
    receipt = await stage.value("select state ->> 'email' from gateway_object where kind = 'payment' and ref = 'pi_9'")
    assert receipt.endswith("@erased.invalid")
    await stage.seal()
    async with db.tenant(stage.tenant_id) as tx:
        assert (await check_chain(tx, tenant_id=stage.tenant_id)).ok
    assert await stage.value("select count(*) from audit_record where changes ? 'note'") == 2
    assert await stage.value("select count(*) from audit_note") == 0


async def test_a_second_erasure_and_a_replay_of_all_history_change_nothing(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    customer_id = await lived(stage)
    await erase(stage, customer_id)
    once = await named_of(stage)

    await erase(stage, customer_id)
    twice = await named_of(stage)
    await replay_everything(stage)

    assert twice.differing(once) == []
    assert (await named_of(stage)).differing(once) == []
    assert await where_named(admin_url) == []
    assert await broken(stage) == []


async def test_what_comes_late_or_again_does_not_bring_the_person_back(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    customer_id = await lived(stage)
    first = story()[0]
    await stage.tell(first)
    await erase(stage, customer_id)
    paid = await stage.value("select sum(refunded_minor)::bigint from payment")

    at = 1_760_100_000
    await stage.deliver(
        first,
        event("customer.updated", {"id": "cus_ann", "object": "customer", **WHO, "email": "new@canary.example"}, at=at),
        event("charge.refunded", charge(amount_refunded=5000, refunded=True, **BILLED), at=at),
        event("charge.succeeded", charge("6", customer=None, payment_intent="pi_6", **BILLED), at=at),
        event("refund.created", refund("6", charge="ch_6", payment_intent=None, reason="for Ada Canary"), at=at),
        event("customer.source.updated", {"id": "card_1", "customer": "cus_ann", "name": "Ada Canary"}, at=at),
        event("charge.succeeded", {"id": "ch_worse", "customer": "cus_ann", **BILLED}, at=at),
        event("customer.updated", {"id": "cus_bob", "name": "Bob Other", "phone": "+1"}, at=at),
    )
    await deliver_differing(stage, first | {"livemode": True})
    await show(stage, Kind.charge, charge(amount_refunded=5000, refunded=True, **BILLED), at=at + 1)
    await finish(stage)

    assert await where_named(admin_url) == []
    assert await stage.value("select sum(refunded_minor)::bigint from payment") > paid
    assert await stage.value("select count(*) from customer where erased_at is null and name is null") == 0
    assert await stage.value("select phone from customer where gateway_ref = 'cus_bob'") == "+1"
    settled = await named_of(stage)
    await replay_everything(stage)
    assert (await named_of(stage)).differing(settled) == []
    assert await broken(stage) == []


async def test_whoever_comes_with_the_address_before_the_lane_gets_there_is_erased_too(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    await stage.tell(event("customer.created", {"id": "cus_ann", "object": "customer", **WHO}))
    customer_id = await stage.value("select id from customer")
    await stage.deliver(event("checkout.session.completed", session("5", customer=None, customer_details=WHO)))

    await erase(stage, customer_id)

    assert await stage.value("select count(*) from customer where erased_at is not null") >= 1
    assert await where_named(admin_url) == []


async def test_a_sweep_that_stops_anywhere_goes_on_where_it_was(db, database_url, admin_url, monkeypatch):
    stage = await set_stage(db, database_url)
    customer_id = await lived(stage)
    monkeypatch.setattr("bursar.money.applying.sweeping.EVENTS_AT_ONCE", 3)
    monkeypatch.setattr("bursar.money.applying.sweeping.ROUNDS_MAX", 1)
    await erase(stage, customer_id)
    is_pending = await stage.value("select swept_at is null from erasure_lane")

    for _ in range(12):
        await asyncio.gather(*(sweep_bodies(db, tenant_id=stage.tenant_id, now=datetime.now(UTC)) for _ in range(2)))

    assert is_pending
    assert await stage.value("select swept_at is not null from erasure_lane")
    assert await where_named(admin_url) == []


async def test_another_tenant_keeps_the_same_person(db, database_url):
    mine, theirs = await set_stage(db, database_url, name="Mine"), await set_stage(db, database_url, name="Theirs")
    customer_id = await lived(mine)
    await lived(theirs)
    before = await named_of(theirs)

    await erase(mine, customer_id)
    await finish(theirs)

    assert (await named_of(theirs)).differing(before) == []
