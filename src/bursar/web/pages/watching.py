"""Who did what, and what was tried that should not have been."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.listing import Slice
from bursar.kernel.security import KINDS
from bursar.money.trail import audit_record, audit_records
from bursar.money.trail.tried import counts_by_kind, security_events
from bursar.web.pages.paging import ROWS, Before, before
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Visiting

SINCE: Final = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
_VALUE_MAX = 2_000
_FIELDS_MAX = 100

Text = Annotated[str, Query(max_length=200)]
SinceName = Literal["", "1h", "24h", "7d", "30d"]

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class Change:
    """A field of a record. before: None where the record tells only what it became."""

    field: str
    before: str | None
    after: str


@router.get("/audit")
@needs("audit:read")
async def audit_page(  # noqa: PLR0917 - the filters of a page
    visit: Visiting,
    actor: Text = "",
    action: Text = "",
    subject: Text = "",
    since: SinceName = "",
    before_id: Before = None,
) -> Response:
    """Show who did what, newest first."""
    asked = {"actor": printable(actor), "action": printable(action), "subject": printable(subject)}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value}
    if since:
        given["since"] = visit.now - SINCE[since]
    page_wanted = Slice(ROWS, before(ids.AUDIT, before_id) if before_id else None)
    async with visit.open() as page:
        found = await audit_records(page.tx, tenant_id=visit.tenant_id, page=page_wanted, given=given)
        return page.answer(
            "audit.html",
            records=[(ids.show(ids.AUDIT, record.id), record) for record in found.rows],
            after=ids.show(ids.AUDIT, found.next_after) if found.next_after else None,
            asked=asked | {"since": since},
            times=tuple(SINCE),
            is_newest=before_id is None,
        )


@router.get("/audit/{record_ref}")
@needs("audit:read")
async def audit_record_page(visit: Visiting, record_ref: str) -> Response:
    """Show one record: what it was and what it became."""
    async with visit.open() as page:
        found = await audit_record(page.tx, tenant_id=visit.tenant_id, record_id=ids.parse(ids.AUDIT, record_ref))
        event = ids.show(ids.EVENT, found.event) if found.event else None
        return page.answer(
            "audit_record.html", id=record_ref, record=found, event=event, changes=_changes(found.changes)
        )


@router.get("/security")
@needs("security:read")
async def security_page(
    visit: Visiting, kind: Text = "", actor: Text = "", address: Text = "", before_id: Before = None
) -> Response:
    """Show what was tried that should not have been, by kind, and the newest."""
    asked = {"kind": kind if kind in KINDS else "", "actor": printable(actor), "address": printable(address)}
    given = {name: value for name, value in asked.items() if value}
    page_wanted = Slice(ROWS, before(ids.SECURITY_EVENT, before_id) if before_id else None)
    async with visit.open() as page:
        found = await security_events(page.tx, tenant_id=visit.tenant_id, page=page_wanted, given=given)
        return page.answer(
            "security.html",
            counts=await counts_by_kind(page.tx, tenant_id=visit.tenant_id, now=visit.now),
            events=[(ids.show(ids.SECURITY_EVENT, event.id), event) for event in found.rows],
            after=ids.show(ids.SECURITY_EVENT, found.next_after) if found.next_after else None,
            asked=asked,
            kinds=KINDS,
            is_newest=before_id is None,
        )


def _changes(changes: Mapping[str, Any]) -> list[Change]:
    return [_change(name, value) for name, value in list(changes.items())[:_FIELDS_MAX]]


def _change(field: str, value: Any) -> Change:
    if isinstance(value, dict) and value.keys() == {"before", "after"}:
        return Change(field, _shown(value["before"]), _shown(value["after"]))
    return Change(field, None, _shown(value))


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
    return text[:_VALUE_MAX]
