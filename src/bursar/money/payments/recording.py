"""Record assessed purchases: set-based, and nothing is written where nothing changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.payments import statements as sql
from bursar.money.purchases import Assessment, PaymentView


@dataclass(frozen=True, slots=True)
class Assessed:
    """A purchase, what it means, and whose it is."""

    purchase_id: UUID
    customer_id: UUID
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row that changed. kind: payment, refund, dispute or invoice. state: what it now says, for audit and outbox."""

    kind: str
    purchase_id: UUID
    id: UUID
    state: dict[str, Any]


async def record_purchases(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, assessed: Sequence[Assessed]
) -> list[Recorded]:
    """Bring purchases, payments, refunds, disputes, invoices and checkouts to what was assessed; return what changed."""
    if not assessed:
        return []
    await _purchases(tx, tenant_id=tenant_id, account_id=account_id, assessed=assessed)
    recorded = await _payments(tx, tenant_id=tenant_id, account_id=account_id, assessed=assessed)
    payment_ids = await _payment_ids(tx, tenant_id=tenant_id, assessed=assessed)
    recorded += await _refunds(
        tx, tenant_id=tenant_id, account_id=account_id, assessed=assessed, payment_ids=payment_ids
    )
    recorded += await _disputes(
        tx, tenant_id=tenant_id, account_id=account_id, assessed=assessed, payment_ids=payment_ids
    )
    recorded += await _invoices(tx, tenant_id=tenant_id, account_id=account_id, assessed=assessed)
    await _sessions(tx, tenant_id=tenant_id, account_id=account_id, assessed=assessed)
    return recorded


async def _purchases(tx: Transaction, *, tenant_id: UUID, account_id: UUID, assessed: Sequence[Assessed]) -> None:
    views = [a.assessment for a in assessed]
    await tx.execute(
        sql.PURCHASES,
        tenant_id,
        account_id,
        [a.purchase_id for a in assessed],
        [a.customer_id for a in assessed],
        [v.subscription_ref for v in views],
        [v.leans_on_subscription for v in views],
        [v.is_paid for v in views],
        [v.is_disputed for v in views],
        [v.paid_minor for v in views],
        [v.refunded_minor for v in views],
        [v.lost_minor for v in views],
        [v.currency for v in views],
        [v.paid_at for v in views],
        [v.period_start for v in views],
        [_lines(v) for v in views],
        [v.unmatched_reason for v in views],
        [msgspec.json.encode(v.unmatched_refs).decode() for v in views],
    )


def _lines(view: Assessment) -> str:
    return msgspec.json.encode(
        [
            {"price": str(b.price.id), "quantity": b.quantity, "standing": b.is_standing, "free": b.is_free}
            for b in view.bought
        ]
    ).decode()


async def _payments(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, assessed: Sequence[Assessed]
) -> list[Recorded]:
    rows = [(a, p) for a in assessed for p in a.assessment.payments]
    if not rows:
        return []
    own = await _own_ids(tx, tenant_id=tenant_id, account_id=account_id, views=[p for _, p in rows])
    changed = await tx.fetch(
        sql.PAYMENTS,
        tenant_id,
        account_id,
        [own.get(p.ref) or ids.new() for _, p in rows],
        [p.ref for _, p in rows],
        [p.charge_ref for _, p in rows],
        [a.purchase_id for a, _ in rows],
        [a.customer_id for a, _ in rows],
        [p.status.value for _, p in rows],
        [p.amount_minor for _, p in rows],
        [p.currency for _, p in rows],
        [p.refunded_minor for _, p in rows],
        [p.is_disputed for _, p in rows],
        [p.failure_code for _, p in rows],
        [p.failure_message for _, p in rows],
        [p.description for _, p in rows],
        [p.created_at for _, p in rows],
    )
    return [Recorded("payment", row["purchase_id"], row["id"], _state(row)) for row in changed]


async def _own_ids(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, views: Sequence[PaymentView]
) -> dict[str, UUID]:
    """Return the ids, by gateway id, of payments that we asked for and that no row stands for yet."""
    named = {own: p.ref for p in views if (own := ids.parsed_or_none(ids.PAYMENT, p.bursar_payment))}
    if not named:
        return {}
    found = await tx.fetch(sql.ASKED_PAYMENTS, tenant_id, account_id, list(named), list(named.values()))
    return {row["ref"]: row["id"] for row in found}


async def _payment_ids(
    tx: Transaction, *, tenant_id: UUID, assessed: Sequence[Assessed]
) -> dict[tuple[UUID, str], UUID]:
    """Return the row of each payment by (purchase, gateway id), retiring stand-ins on the way."""
    found = await tx.fetch(sql.PAYMENTS_OF_PURCHASES, tenant_id, [a.purchase_id for a in assessed])
    payment_ids = {(row["purchase_id"], row["gateway_ref"]): row["id"] for row in found}
    present = {(a.purchase_id, p.ref) for a in assessed for p in a.assessment.payments}
    heirs = {a.purchase_id: a.assessment.payments[0].ref for a in assessed if a.assessment.payments}
    # One whose purchase turned out to take no money has no heir but itself.
    retired = [
        (row["id"], payment_ids[row["purchase_id"], heirs.get(row["purchase_id"], row["gateway_ref"])])
        for row in found
        if (row["purchase_id"], row["gateway_ref"]) not in present and row["superseded_by"] is None
    ]
    if retired:
        await tx.execute(sql.RETIRE_PAYMENTS, tenant_id, [gone for gone, _ in retired], [heir for _, heir in retired])
    return payment_ids


async def _refunds(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    assessed: Sequence[Assessed],
    payment_ids: dict[tuple[UUID, str], UUID],
) -> list[Recorded]:
    rows = [(a, r) for a in assessed for r in a.assessment.refunds if r.is_itemised]
    if not rows:
        return []
    asked = {
        own: (r.ref, payment_ids[a.purchase_id, r.payment_ref])
        for a, r in rows
        if (own := ids.parsed_or_none(ids.REFUND, r.bursar_refund))
    }
    if asked:
        named = (list(asked), [ref for ref, _ in asked.values()], [payment for _, payment in asked.values()])
        await tx.execute(sql.LINK_REFUNDS, tenant_id, account_id, *named)
        await tx.execute(sql.NAME_REFUNDS, tenant_id, account_id, *named)
    changed = await tx.fetch(
        sql.REFUNDS,
        tenant_id,
        account_id,
        [ids.new() for _ in rows],
        [r.ref for _, r in rows],
        [a.purchase_id for a, _ in rows],
        [payment_ids[a.purchase_id, r.payment_ref] for a, r in rows],
        [r.status.value for _, r in rows],
        [r.amount_minor for _, r in rows],
        [r.currency for _, r in rows],
        [r.reason for _, r in rows],
        [r.created_at for _, r in rows],
    )
    await tx.execute(sql.COUNT_PROMISES, tenant_id, sorted({*payment_ids.values()}))
    return [Recorded("refund", row["purchase_id"], row["id"], _state(row)) for row in changed]


async def _disputes(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    assessed: Sequence[Assessed],
    payment_ids: dict[tuple[UUID, str], UUID],
) -> list[Recorded]:
    rows = [(a, d) for a in assessed for d in a.assessment.disputes]
    if not rows:
        return []
    changed = await tx.fetch(
        sql.DISPUTES,
        tenant_id,
        account_id,
        [ids.new() for _ in rows],
        [d.ref for _, d in rows],
        [a.purchase_id for a, _ in rows],
        [payment_ids[a.purchase_id, d.payment_ref] for a, d in rows],
        [d.status.value for _, d in rows],
        [d.is_inquiry for _, d in rows],
        [d.amount_minor for _, d in rows],
        [d.currency for _, d in rows],
        [d.reason for _, d in rows],
        [d.due_by for _, d in rows],
        [d.withdrawn_minor for _, d in rows],
        [d.reinstated_minor for _, d in rows],
        [d.created_at for _, d in rows],
    )
    return [Recorded("dispute", row["purchase_id"], row["id"], _state(row)) for row in changed]


async def _invoices(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, assessed: Sequence[Assessed]
) -> list[Recorded]:
    rows = [(a, i) for a in assessed for i in a.assessment.invoices]
    if not rows:
        return []
    changed = await tx.fetch(
        sql.INVOICES,
        tenant_id,
        account_id,
        [ids.new() for _ in rows],
        [i.ref for _, i in rows],
        [a.purchase_id for a, _ in rows],
        [a.customer_id for a, _ in rows],
        [i.subscription for _, i in rows],
        [i.number for _, i in rows],
        [i.status.value for _, i in rows],
        [i.total_minor for _, i in rows],
        [i.paid_minor for _, i in rows],
        [i.currency for _, i in rows],
        [i.billing_reason for _, i in rows],
        [msgspec.json.encode(i.lines, order="sorted").decode() for _, i in rows],
        [i.due_at for _, i in rows],
        [i.paid_at for _, i in rows],
        [i.created_at or a.assessment.paid_at for a, i in rows],
    )
    return [Recorded("invoice", row["purchase_id"], row["id"], _state(row)) for row in changed]


async def _sessions(tx: Transaction, *, tenant_id: UUID, account_id: UUID, assessed: Sequence[Assessed]) -> None:
    rows = [(a, s) for a in assessed for s in a.assessment.sessions]
    if rows:
        await tx.execute(
            sql.SESSIONS,
            tenant_id,
            account_id,
            [ids.new() for _ in rows],
            [s.ref for _, s in rows],
            [a.purchase_id for a, _ in rows],
            [a.customer_id for a, _ in rows],
            [s.mode for _, s in rows],
            [s.status.value for _, s in rows],
            [s.payment_status.value for _, s in rows],
            [s.amount_minor for _, s in rows],
            [s.currency for _, s in rows],
            [s.expires_at for _, s in rows],
            [s.created_at or a.assessment.paid_at for a, s in rows],
        )


def _state(row: Any) -> dict[str, Any]:
    return {key: value for key, value in dict(row).items() if key not in ("id", "purchase_id")}
