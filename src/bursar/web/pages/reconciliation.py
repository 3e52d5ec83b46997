"""Reconciliation: when each account was compared with its gateway, what differed, and what was done about it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.money.reconciliation.jobs import ask_for_run
from bursar.web.pages.paging import Before
from bursar.web.pages.reads.reconciliation import (
    accounts_of,
    difference_list,
    run_list,
    run_row,
)
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting, to

router = APIRouter(route_class=PageRoute)


@router.get("/reconciliation")
@needs("reconciliation:read")
async def reconciliation(visit: Visiting, before_id: Before = None) -> Response:
    """Show the accounts, and the runs, newest first."""
    after = ids.parse(ids.RECONCILIATION, before_id) if before_id else None
    async with visit.open() as page:
        accounts = await accounts_of(page.tx, tenant_id=visit.tenant_id, now=visit.now)
        rows, next_after = await run_list(page.tx, tenant_id=visit.tenant_id, after=after)
        return page.answer(
            "reconciliation.html", accounts=accounts, rows=rows, after=next_after, is_newest=before_id is None
        )


@router.post("/reconciliation/{gateway_account}/run")
@needs("reconciliation:write")
async def start(visit: Visiting, gateway_account: str) -> Response:
    """Compare an account now."""
    account_id = ids.parse(ids.GATEWAY_ACCOUNT, gateway_account)
    await visit.form()
    async with visit.open() as page:
        run_id = await ask_for_run(
            page.tx,
            tenant_id=visit.tenant_id,
            account_id=account_id,
            actor=visit.principal.actor,
            now=visit.now,
        )
    return to(f"/reconciliation/{ids.show(ids.RECONCILIATION, run_id)}")


@router.get("/reconciliation/{reconciliation}")
@needs("reconciliation:read")
async def run_page(
    visit: Visiting,
    reconciliation: str,
    named: Annotated[
        Literal["", "missing_here", "missing_there", "amount", "currency", "status", "fee", "timing"],
        Query(alias="class"),
    ] = "",
    state: Literal["", "open", "repairing", "waiting", "repaired", "closed"] = "",
    before_id: Before = None,
) -> Response:
    """Show one run: how far it is, and its differences with both sides."""
    run_id = ids.parse(ids.RECONCILIATION, reconciliation)
    after = ids.parse(ids.DIFFERENCE, before_id) if before_id else None
    async with visit.open() as page:
        row = await run_row(page.tx, tenant_id=visit.tenant_id, run_id=run_id)
        differences, next_after = await difference_list(
            page.tx, tenant_id=visit.tenant_id, run_id=run_id, named=named, state=state, after=after
        )
        return page.answer(
            "reconciliation_run.html",
            row=row,
            differences=differences,
            after=next_after,
            is_newest=before_id is None,
            named=named,
            state_asked=state,
            base=f"/reconciliation/{reconciliation}?class={named}&state={state}",
        )
