"""Fetch one object from a gateway now and merge it, like a report that was never sent. The same repair as reconciliation's."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Database
from bursar.kernel.errors import NotFound
from bursar.kernel.seal import Seal
from bursar.money.calls.outside import Outside, fetch_now
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.reports import Source, report_event
from bursar.money.intake import file_written

FetchedKind = Literal[
    "session", "customer", "payment", "charge", "refund", "dispute", "invoice", "subscription", "payment_method", "setup", "licence_key"
]  # fmt: skip
FETCHED_KINDS: Final[tuple[FetchedKind, ...]] = get_args(FetchedKind)


class GatewayObjectNotFound(NotFound):
    """The gateway has no object of this kind and name in this account."""

    code = "gateway_object_not_found"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched, and the event that reports it. at: the gateway's time of this state."""

    event_id: UUID
    kind: FetchedKind
    ref: str
    at: datetime


async def fetch_object(
    outside: Outside,
    db: Database,
    *,
    seal: Seal,
    is_production: bool,
    tenant_id: UUID,
    account_id: UUID,
    kind: FetchedKind,
    ref: str,
    actor: str,
) -> Fetched:
    """Fetch an object and file it as a report of the account; no transaction is open while the gateway is asked.

    Twice is harmless: what is not newer changes nothing. Raises GatewayObjectNotFound, and as `read_now`.
    """
    answer = await fetch_now(
        outside, db, seal=seal, is_production=is_production, tenant_id=tenant_id, account_id=account_id, kind=Kind(kind), ref=ref
    )  # fmt: skip
    shown = ids.show(ids.GATEWAY_ACCOUNT, account_id)
    if answer is None:
        raise GatewayObjectNotFound(
            f"the gateway has no {kind.replace('_', ' ')} {ref} in {shown}",
            hint="Is it of this account, of this kind, and of live and not of test mode?",
        )
    event = report_event(kind=answer.kind, object=answer.object, at=answer.at, source=Source.fetch)
    async with db.tenant(tenant_id) as tx:
        event_id = await file_written(tx, tenant_id=tenant_id, account_id=account_id, event=event)
        told = {"kind": kind, "ref": answer.ref, "event": ids.show(ids.EVENT, event_id)}
        await audit.record(
            tx, tenant_id=tenant_id, actor=actor, action="gateway_object.fetched", subject=shown, changes=told
        )
    return Fetched(event_id, kind, answer.ref, answer.at)
