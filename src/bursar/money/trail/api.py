"""Routes of the audit trail."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Instant, Key, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AuditId, CustomerId, EventId
from bursar.kernel.security import Kind
from bursar.money.trail.queries import AuditRecord, audit_record, audit_records
from bursar.money.trail.tried import SecurityEvent, security_events

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["audit"])


class SecurityEventFilters(PageFilters):
    kind: Kind | None = None
    actor: Key | None = None
    address: Key | None = None
    since: Instant | None = None
    until: Instant | None = None


class AuditFilters(PageFilters):
    customer: CustomerId | None = None
    event: EventId | None = None
    actor: Key | None = None
    action: Key | None = None
    subject: Key | None = None
    since: Instant | None = None
    until: Instant | None = None


@router.get("/audit-records")
@needs("audit:read")
async def list_audit_records(caller: CallerOf, filters: Annotated[AuditFilters, Query()]) -> Page[AuditRecord]:
    """List who did what, newest first.

    By `subject` are found the acts of people, keys and policies on it; what gateways reported, by `event` or `customer`.
    """
    async with caller.transaction() as tx:
        return page_of(await audit_records(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/audit-records/{record}")
@needs("audit:read")
async def get_audit_record(caller: CallerOf, record: Annotated[AuditId, Path()]) -> AuditRecord:
    """Return one record."""
    async with caller.transaction() as tx:
        return await audit_record(tx, tenant_id=caller.tenant_id, record_id=record)


@router.get("/security-events")
@needs("security:read")
async def list_security_events(
    caller: CallerOf, filters: Annotated[SecurityEventFilters, Query()]
) -> Page[SecurityEvent]:
    """List what was tried that should not have been, newest first, counted by kind, actor, address and hour."""
    async with caller.transaction() as tx:
        return page_of(await security_events(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))
