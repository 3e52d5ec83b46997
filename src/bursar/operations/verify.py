"""Verify: every invariant over everything a tenant has, with the rows that break it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.fulfilment import Registry
from bursar.operations.invariants import INVARIANTS, Invariant
from bursar.operations.snapshots import snapshot, tenants

OFFENDING_MAX = 20

_PREFIXES = {
    "event": ids.EVENT,
    "customer": ids.CUSTOMER,
    "price": ids.PRICE,
    "job": ids.JOB,
    "purchase": ids.PURCHASE,
    "payment": ids.PAYMENT,
    "refund": ids.REFUND,
    "dispute": ids.DISPUTE,
    "invoice": ids.INVOICE,
    "subscription": ids.SUBSCRIPTION,
    "checkout_session": ids.CHECKOUT,
    "payment_method": ids.PAYMENT_METHOD,
    "grant": ids.GRANT,
    "lot": ids.LOT,
    "spend": ids.SPEND,
    "entitlement": ids.ENTITLEMENT,
    "licence": ids.LICENCE,
    "audit_record": ids.AUDIT,
    "gateway_call": ids.GATEWAY_CALL,
    "saga": ids.SAGA,
    "ledger_transaction": ids.LEDGER_TRANSACTION,
    "tenant_id": ids.TENANT,
    "booking": ids.BOOKING,
    "booking_fee": ids.BOOKING_FEE,
    "coupon": ids.COUPON,
    "class": ids.CLASS,
    "waitlist_entry": ids.WAITLIST_ENTRY,
    "gateway_account_id": ids.GATEWAY_ACCOUNT,
}
"""What the columns of an offence identify. `kept_purchase` is a purchase too: the last word decides."""

_ALIASES = {
    "gateway_event": "event",
    "fulfilment_grant": "grant",
    "credit_lot": "lot",
    "credit_spend": "spend",
    "class_instance": "class",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant, checked. checked: rows of its subject. offending: up to 20 rows that break it, with public ids."""

    name: str
    promises: str
    ok: bool
    checked: int
    offending: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Verified:
    """A tenant, checked. tenant: its public id."""

    tenant: str
    invariants: list[Finding]

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.invariants)


async def verify(
    connection: Transaction,
    tenant_id: UUID,
    *,
    standing_kinds: Sequence[str],
    invariants: Sequence[Invariant] = INVARIANTS,
) -> Verified:
    """Check a tenant as of one instant.

    connection: of its own, outside any transaction (`snapshots.reading`). standing_kinds: the kinds of grant that
    last as long as a subscription. Raises TenantUnknown.
    """
    async with snapshot(connection, tenant_id) as tx:
        counted: dict[str, int] = {}
        findings = []
        for invariant in invariants:
            if invariant.subject not in counted:
                counted[invariant.subject] = await tx.fetchval(
                    f"select count(*) from {invariant.subject} where tenant_id = $1", tenant_id
                )
            parameters: list[object] = [tenant_id, *([list(standing_kinds)] if invariant.takes_standing else [])]
            rows = await tx.fetch(invariant.statement(limit=OFFENDING_MAX), *parameters)
            findings.append(found(invariant, rows, checked=counted[invariant.subject]))
    return Verified(ids.show(ids.TENANT, tenant_id), findings)


async def verify_all(connection: Transaction, *, standing_kinds: Sequence[str]) -> list[Verified]:
    """Check every tenant, one after another, each as of its own instant."""
    return [await verify(connection, tenant, standing_kinds=standing_kinds) for tenant in await tenants(connection)]


def standing_kinds(registry: Registry) -> list[str]:
    """Return the kinds of grant that last as long as a subscription."""
    return [kind for kind in registry.kinds if registry[kind].is_standing]


def found(invariant: Invariant, rows: Sequence[Any], *, checked: int) -> Finding:
    """Return what a statement's rows say about its invariant."""
    return Finding(
        name=invariant.name,
        promises=invariant.promises,
        ok=not rows,
        checked=checked,
        offending=[{key: _shown(key, value) for key, value in dict(row).items()} for row in rows],
    )


def report(verified: Sequence[Verified], installation: Sequence[Finding] = ()) -> dict[str, Any]:
    """Return what `bursar verify --json` prints. installation: what was found across tenants."""
    return {
        "ok": all(v.ok for v in verified) and all(finding.ok for finding in installation),
        "installation": [asdict(finding) for finding in installation],
        "tenants": [
            {"tenant": v.tenant, "ok": v.ok, "invariants": [asdict(finding) for finding in v.invariants]}
            for v in verified
        ],
    }


def _shown(key: str, value: object) -> object:
    if isinstance(value, UUID):
        return ids.show(_prefix(key), value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _prefix(key: str) -> str:
    key = _ALIASES.get(key, key)
    for name in (key, key.removesuffix("_id"), key.rpartition("_")[2]):
        if name in _PREFIXES:
            return _PREFIXES[name]
    return "row"
