"""A tenant with a catalogue and a gateway account, and the engine at hand: what most tests of money begin with."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from bursar.bootstrap import registry
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.settings import Settings
from bursar.money.gateways import gateway
from bursar.money.intake.filing import Filing, file_events, file_own_event
from bursar.money.trail import check_chain, seal_tenant
from bursar.worker.applier import Applier, open_session

PACK = "pack-10"
MEMBERSHIP = "membership"
COURSE = "course"

_SESSIONS: dict[Database, list[Any]] = {}


@lru_cache(maxsize=64)
def settings_of(url: str, **settings: Any) -> Settings:
    """Return settings for a database, the same ones each time: to look for a hundred of them in the environment takes 6 ms."""
    return Settings(database_url=url, **settings)


@contextmanager
def keeping_sessions(db: Database) -> Iterator[None]:
    """Let the stages of a database apply in one session until the end of this."""
    _SESSIONS[db] = []
    try:
        yield
    finally:
        for session in _SESSIONS.pop(db):
            session.terminate()


@dataclass
class Stage:
    """One tenant. `deliver` stores events as intake does after the signature; `apply` works the queue empty."""

    db: Database
    url: str
    tenant_id: UUID
    account_id: UUID
    gateway: str = "stripe"
    prices: dict[str, UUID] = field(default_factory=dict)

    async def deliver(self, *events: dict[str, Any], headers: dict[str, str] | None = None) -> list[UUID]:
        filings = []
        for event in events:
            body = json.dumps(event).encode()
            envelope = gateway(self.gateway).envelope(headers=headers or {"webhook-id": event.get("id", "")}, body=body)
            filings.append(
                Filing(
                    ids.new(),
                    self.tenant_id,
                    self.account_id,
                    envelope.event_id,
                    envelope.type,
                    "gateway",
                    envelope.occurred_at,
                    {},
                    body,
                    None,
                )
            )
        async with self.db.engine() as tx:
            return [filed.id for filed in await file_events(tx, filings)]

    async def say(self, type: str, payload: dict[str, Any]) -> UUID:  # noqa: A002
        async with self.db.tenant(self.tenant_id) as tx:
            return await file_own_event(
                tx,
                tenant_id=self.tenant_id,
                account_id=self.account_id,
                type=type,
                payload=payload,
                occurred_at=datetime.now(UTC),
            )

    async def apply(self, **settings: Any) -> int:
        """Work the queue empty. The session is kept for the next time, as a worker's is: a new one plans everything anew."""
        chosen = settings_of(self.url, **settings)
        kept = _SESSIONS.get(self.db)
        session = kept.pop() if kept else None
        if session is None or session.is_closed():
            session = await open_session(chosen)
        applier = Applier(session, settings=chosen, registry=registry())
        done = 0
        try:
            while count := await applier.work():
                done += count
        except BaseException:
            session.terminate()
            raise
        if kept is None:
            session.terminate()
        else:
            kept.append(session)
        return done

    async def tell(self, *events: dict[str, Any]) -> None:
        await self.deliver(*events)
        await self.apply()

    async def seal(self, at: datetime | None = None) -> int:
        """Seal the audit trail; waits for transactions elsewhere on the server, which hold back what is final."""
        sealed = 0
        for _ in range(500):
            sealed += await seal_tenant(self.db, tenant_id=self.tenant_id, now=at or datetime.now(UTC))
            async with self.db.tenant(self.tenant_id) as tx:
                if not (await check_chain(tx, tenant_id=self.tenant_id)).unsealed:
                    return sealed
            await asyncio.sleep(0.02)
        raise AssertionError("something holds the sealing back")

    async def rows(self, query: str, *args: Any) -> list[dict[str, Any]]:
        async with self.db.tenant(self.tenant_id) as tx:
            return [dict(row) for row in await tx.fetch(query, *args)]

    async def row(self, query: str, *args: Any) -> dict[str, Any]:
        rows = await self.rows(query, *args)
        assert len(rows) == 1, rows
        return rows[0]

    async def value(self, query: str, *args: Any) -> Any:
        return next(iter((await self.row(query, *args)).values()))


async def set_stage(db: Database, url: str, *, gateway: str = "stripe", name: str = "Test") -> Stage:
    """Open a tenant with a pack of ten credits, a monthly membership and a course, and one gateway account."""
    stage = Stage(db, url, ids.new(), ids.new(), gateway)
    async with db.tenant(stage.tenant_id) as tx:
        await tx.execute("insert into tenant (tenant_id, name) values ($1, $2)", stage.tenant_id, name)
        await tx.execute(
            "insert into gateway_account (tenant_id, id, gateway, name, signing_secrets) values ($1, $2, $3, $3, '{}')",
            stage.tenant_id,
            stage.account_id,
            gateway,
        )
    await add_price(stage, PACK, 5000, [{"kind": "credits", "amount": 10, "pool": "classes"}], refs=["price_pack"])
    await add_price(
        stage,
        MEMBERSHIP,
        2000,
        [{"kind": "credits", "amount": 8, "pool": "classes"}, {"kind": "feature", "feature": "unlimited_likes"}],
        interval="month",
        refs=["price_member"],
    )
    await add_price(
        stage,
        COURSE,
        9900,
        [
            {"kind": "licence", "course": "python", "activations": 3},
            {"kind": "quota", "meter": "messages", "amount": 1000},
        ],
        refs=["price_course"],
    )
    return stage


async def add_price(
    stage: Stage,
    key: str,
    amount: int,
    grants: list[dict[str, Any]],
    *,
    interval: str | None = None,
    refs: list[str],
    recovers: bool = False,
    currency: str = "EUR",
) -> None:
    product_id, price_id = ids.new(), ids.new()
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            "insert into product (tenant_id, id, name) values ($1, $2, $3)", stage.tenant_id, product_id, key
        )
        await tx.execute(
            """insert into price (tenant_id, id, product_id, lookup_key, amount_minor, currency, interval, grants, recovers_shortfall)
            values ($1, $2, $3, $4, $5, $9, $6, $7::jsonb, $8)""",
            stage.tenant_id,
            price_id,
            product_id,
            key,
            amount,
            interval,
            json.dumps(registry().checked(grants)),
            recovers,
            currency,
        )
        for ref in refs:
            await tx.execute(
                "insert into price_gateway_ref (tenant_id, gateway_account_id, ref, price_id) values ($1, $2, $3, $4)",
                stage.tenant_id,
                stage.account_id,
                ref,
                price_id,
            )
    stage.prices[key] = price_id


_count = 0


def event(type: str, obj: dict[str, Any], *, at: int = 1_760_000_000, id: str | None = None) -> dict[str, Any]:  # noqa: A002
    """A Stripe event about one object."""
    global _count  # noqa: PLW0603
    _count += 1
    return {"id": id or f"evt_{_count:08d}", "object": "event", "type": type, "created": at, "data": {"object": obj}}


def session(n: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "id": f"cs_{n}",
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": 5000,
        "currency": "eur",
        "customer": "cus_ann",
        "payment_intent": f"pi_{n}",
        "metadata": {"bursar_price": PACK},
        "created": 1_760_000_000,
    } | more


def intent(n: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "id": f"pi_{n}",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 5000,
        "amount_received": 5000,
        "currency": "eur",
        "customer": "cus_ann",
        "latest_charge": f"ch_{n}",
        "metadata": {},
        "created": 1_760_000_000,
    } | more


def charge(n: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "id": f"ch_{n}",
        "object": "charge",
        "status": "succeeded",
        "paid": True,
        "captured": True,
        "amount": 5000,
        "amount_captured": 5000,
        "amount_refunded": 0,
        "refunded": False,
        "currency": "eur",
        "customer": "cus_ann",
        "payment_intent": f"pi_{n}",
        "metadata": {},
        "created": 1_760_000_000,
    } | more


def refund(n: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "id": f"re_{n}",
        "object": "refund",
        "status": "succeeded",
        "amount": 2500,
        "currency": "eur",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "created": 1_760_000_100,
    } | more


def invoice(n: str = "1", *, layout: str = "old", **more: Any) -> dict[str, Any]:
    """A paid invoice of the membership, in the layout of 2020 (`old`) or of today (`new`)."""
    line: dict[str, Any] = {
        "id": f"il_{n}",
        "object": "line_item",
        "amount": 2000,
        "currency": "eur",
        "quantity": 1,
        "period": {"start": 1_760_000_000, "end": 1_762_592_000},
    }
    made: dict[str, Any] = {
        "id": f"in_{n}",
        "object": "invoice",
        "status": "paid",
        "total": 2000,
        "amount_due": 2000,
        "amount_paid": 2000,
        "currency": "eur",
        "customer": "cus_ann",
        "billing_reason": "subscription_create",
        "created": 1_760_000_000,
        "status_transitions": {"paid_at": 1_760_000_002},
    }
    if layout == "old":
        line |= {"type": "subscription", "proration": False, "price": {"id": "price_member"}, "subscription": "sub_1"}
        made |= {"paid": True, "subscription": "sub_1", "payment_intent": f"pi_{n}", "charge": f"ch_{n}"}
    else:
        line |= {
            "pricing": {"type": "price_details", "price_details": {"price": "price_member", "product": "prod_member"}},
            "parent": {
                "type": "subscription_item_details",
                "subscription_item_details": {"subscription": "sub_1", "proration": False},
            },
        }
        made |= {
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": "sub_1", "metadata": {}},
            }
        }
    return made | {"lines": {"object": "list", "data": [line]}} | more


def subscription(status: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "id": "sub_1",
        "object": "subscription",
        "status": status,
        "customer": "cus_ann",
        "created": 1_760_000_000,
        "current_period_start": 1_760_000_000,
        "current_period_end": 1_762_592_000,
        "cancel_at_period_end": False,
        "metadata": {},
        "items": {"object": "list", "data": [{"id": "si_1", "quantity": 1, "price": {"id": "price_member"}}]},
    } | more
