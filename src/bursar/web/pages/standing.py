"""How the installation is, for those who run it: every part with what to do, figures, slow statements, backups and drills."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar import backups, health
from bursar.kernel.auth import for_operators
from bursar.kernel.resources import resources_of
from bursar.kernel.slow import slow_statements
from bursar.operations import retention_runs
from bursar.operations.retention import preview
from bursar.web.operating import WatchOf
from bursar.web.pages.operating import operator_page
from bursar.web.pages.reads.installation import installation
from bursar.web.pages.routing import PageRoute

_ORDER: Final = ("unhealthy", "degraded", "healthy")
_FIGURES_LATE_S: Final = 900

router = APIRouter(route_class=PageRoute)


@router.get("/operator/health")
@for_operators
async def health_page(request: Request, watch: WatchOf) -> Response:
    """Show every part, the worst first, and where calls fail."""
    parts = sorted(await watch.parts(), key=lambda part: _ORDER.index(part.status))
    return operator_page(
        request,
        "operator_health.html",
        parts=parts,
        verdict=health.worst(parts),
        circuits=await health.circuits_not_closed(resources_of(request).db),
    )


@router.get("/operator/figures")
@for_operators
async def figures_page(request: Request, watch: WatchOf) -> Response:
    """Show the figures of the business, of all businesses together."""
    seldom = (await watch.standing()).seldom
    found = installation(seldom.figures)
    return operator_page(
        request, "operator_figures.html", found=found, age_s=seldom.figures_age_s, late_s=_FIGURES_LATE_S
    )


@router.get("/operator/slow-queries")
@for_operators
async def slow_queries(request: Request) -> Response:
    """Show the statements that took longest."""
    resources = resources_of(request)
    settings = resources.settings
    return operator_page(
        request,
        "operator_slow.html",
        slow=await slow_statements(resources.db),
        over_ms=settings.slow_statement_ms,
        plan_over_ms=settings.slow_plan_ms,
        days=settings.slow_statement_days,
    )


@router.get("/operator/retention")
@for_operators
async def retention_page(request: Request) -> Response:
    """Show what is kept for how long, what would go now, and what went last."""
    resources = resources_of(request)
    policies = await preview(resources.db, resources.settings, at=resources.now())
    async with resources.db.engine() as tx:
        last = await retention_runs.last_run(tx)
    complaint = retention_runs.complaint(last, now=resources.now())
    return operator_page(
        request,
        "operator_retention.html",
        policies=policies,
        last=last,
        complaint=complaint,
        advice=retention_runs.ADVICE,
    )


@router.get("/operator/backups")
@for_operators
async def backups_and_drills(request: Request) -> Response:
    """Show how backups stand, what the store listed, and what drills found."""
    resources = resources_of(request)
    async with resources.db.engine() as tx:
        ages = await backups.ages(tx)
        listed, drills = await backups.listed(tx), await backups.drills(tx)
    complaint = backups.complaint(ages, resources.settings)
    return operator_page(
        request,
        "operator_backups.html",
        ages=ages,
        complaint=complaint,
        advice=backups.advice(ages),
        caution=backups.caution(ages, resources.settings),
        listed=listed,
        drills=drills,
        drill_hours=resources.settings.drill_hours,
    )
