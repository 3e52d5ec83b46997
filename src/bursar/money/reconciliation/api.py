"""Routes of reconciliation."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Filters, Input, Instant, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AccountId
from bursar.kernel.http.paging import Cursor
from bursar.kernel.listing import Slice, cursor
from bursar.money.reconciliation import queries
from bursar.money.reconciliation.jobs import ask_for_run
from bursar.money.reconciliation.schemas import (
    AccountStanding,
    Difference,
    DifferenceClass,
    DifferenceState,
    Reconciliation,
    RunId,
    RunState,
)
from bursar.money.reconciliation.sheets import sheet

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["reconciliation"])

_ROWS_MAX: Final = 10_000
_CSV: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "One line for each difference.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


class NewReconciliation(Input):
    """`since`: look at what was made from then on. Left out: each kind as far back as it may still change."""

    gateway_account: AccountId
    since: Instant | None = None
    until: Instant | None = None


class RunFilters(PageFilters):
    gateway_account: AccountId | None = None
    state: RunState | None = None


class DifferenceFilters(PageFilters):
    class_: DifferenceClass | None = Field(default=None, alias="class")
    state: DifferenceState | None = None

    @property
    def given(self) -> dict[str, Any]:
        return {name.rstrip("_"): value for name, value in super().given.items()}


class SheetFilters(Filters):
    limit: int = Field(default=_ROWS_MAX, ge=1, le=_ROWS_MAX, description="Lines.")
    cursor: Cursor | None = Field(default=None, description="`X-Next-Cursor` of the answer before.")


class Reconciliations(Page[Reconciliation]):
    """Runs, newest first, and how long ago each account was compared."""

    accounts: list[AccountStanding]


@router.get("/reconciliations")
@needs("reconciliation:read")
async def list_reconciliations(caller: CallerOf, filters: Annotated[RunFilters, Query()]) -> Reconciliations:
    """List runs, newest first, with the standing of every account that can be compared."""
    tenant_id = caller.tenant_id
    async with caller.transaction() as tx:
        page = page_of(await queries.runs(tx, tenant_id=tenant_id, page=filters.slice, given=filters.given))
        accounts = await queries.standings(tx, tenant_id=tenant_id, now=caller.now())
    return Reconciliations(data=page.data, next_cursor=page.next_cursor, accounts=list(accounts))


@router.post("/reconciliations", status_code=202)
@needs("reconciliation:write")
async def start_reconciliation(caller: CallerOf, new: NewReconciliation) -> Reconciliation:
    """Compare an account with its gateway now. A worker does it; look at the run to see how far it is."""
    tenant_id = caller.tenant_id
    async with caller.transaction() as tx:
        run_id = await ask_for_run(
            tx,
            tenant_id=tenant_id,
            account_id=new.gateway_account,
            actor=caller.actor,
            now=caller.now(),
            since=new.since,
            until=new.until,
        )
        return await queries.run(tx, tenant_id=tenant_id, run_id=run_id)


@router.get("/reconciliations/{reconciliation}")
@needs("reconciliation:read")
async def get_reconciliation(
    caller: CallerOf, run_id: Annotated[RunId, Path(alias="reconciliation")]
) -> Reconciliation:
    """Return one run: how far it is, and what it found."""
    async with caller.transaction() as tx:
        return await queries.run(tx, tenant_id=caller.tenant_id, run_id=run_id)


@router.get("/reconciliations/{reconciliation}/differences")
@needs("reconciliation:read")
async def list_differences(
    caller: CallerOf,
    run_id: Annotated[RunId, Path(alias="reconciliation")],
    filters: Annotated[DifferenceFilters, Query()],
) -> Page[Difference]:
    """List the differences that a run saw, with both sides and what was done, newest first."""
    async with caller.transaction() as tx:
        found = await queries.differences(
            tx, tenant_id=caller.tenant_id, run_id=run_id, page=filters.slice, given=filters.given
        )
    return page_of(found)


@router.get("/reconciliations/{reconciliation}/differences.csv", response_class=Response, responses=_CSV)
@needs("reconciliation:read")
async def download_differences(
    caller: CallerOf, run_id: Annotated[RunId, Path(alias="reconciliation")], filters: Annotated[SheetFilters, Query()]
) -> Response:
    """Return the same for a spreadsheet. Where there are more lines, `X-Next-Cursor` names where to go on."""
    page = Slice(filters.limit, filters.cursor)
    async with caller.transaction() as tx:
        found = await queries.differences(tx, tenant_id=caller.tenant_id, run_id=run_id, page=page, given={})
    headers = {"content-disposition": f'attachment; filename="differences-{run_id}.csv"'}
    if found.next_after:
        headers["x-next-cursor"] = cursor(found.next_after)
    return Response(sheet(found.rows), media_type="text/csv; charset=utf-8", headers=headers)
