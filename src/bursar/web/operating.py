"""Routes for those who run Bursar: is it alive, is it ready, how is it, and its figures. They need no key."""

from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from bursar import __version__, backups
from bursar.kernel.errors import DomainError
from bursar.kernel.http.addresses import client_address, networks
from bursar.kernel.http.routes import StrictRoute
from bursar.kernel.resources import resources_of
from bursar.kernel.settings import Settings
from bursar.web.standing import Standing, Watch, free_bytes

router = APIRouter(route_class=StrictRoute, tags=["operating"])

_OLDEST_MAX_S = 60
_FREE_BYTES_MIN = 1_000_000_000

Verdict = Literal["healthy", "degraded", "unhealthy"]


class Alive(BaseModel):
    status: Literal["alive"] = "alive"
    version: str = __version__


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


class Part(BaseModel):
    """One part of the installation."""

    status: Verdict
    detail: str = ""
    figures: dict[str, float] = Field(default_factory=dict)


class Health(BaseModel):
    """The worst of the parts decides. Unhealthy is answered with 503."""

    status: Verdict
    version: str = __version__
    parts: dict[str, Part]


async def _watch(request: Request) -> Watch:
    state = request.app.state
    if not hasattr(state, "watch"):
        state.watch = Watch(resources_of(request))
    watch: Watch = state.watch
    return watch


WatchOf = Annotated[Watch, Depends(_watch)]


def _for_watchers(request: Request) -> None:
    """Hide figures from whoever is not among the configured watchers."""
    settings = resources_of(request).settings
    allowed = networks(settings.watcher_networks)
    if not allowed:
        return
    address = client_address(request.scope, settings)
    if not address or not any(ip_address(address) in network for network in allowed):
        raise HTTPException(HTTPStatus.NOT_FOUND)


_WATCHERS: Final = [Depends(_for_watchers)]
_UNREADY: dict[int | str, dict[str, Any]] = {503: {"description": "The database is away, or its schema is another's."}}


@router.get("/health/live")
async def live() -> Alive:
    """Answer as long as the process runs, whatever else is broken."""
    return Alive()


@router.get("/health/ready", responses=_UNREADY)
async def ready(watch: WatchOf) -> Ready:
    """Answer 200 only when the database answers and its schema is this version's."""
    try:
        await watch.standing()
    except DomainError as refusal:
        raise _unready(refusal) from refusal
    return Ready()


@router.get("/health", dependencies=_WATCHERS, responses={503: {"model": Health}})
async def health(request: Request, response: Response, watch: WatchOf) -> Health:
    """Tell how every part is: database, queue, dead letters, disk."""
    parts = await _database_parts(watch, resources_of(request).settings)
    free = free_bytes(resources_of(request).settings.data)
    parts["disk"] = Part(
        status="healthy" if free >= _FREE_BYTES_MIN else "degraded",
        detail="" if free >= _FREE_BYTES_MIN else "less than 1 GB is free",
        figures={"free_bytes": free},
    )
    verdict = _worst([part.status for part in parts.values()])
    if verdict == "unhealthy":
        response.status_code = 503
    return Health(status=verdict, parts=parts)


@router.get(
    "/metrics", dependencies=_WATCHERS, response_class=Response, responses={200: {"content": {"text/plain": {}}}}
)
async def metrics(request: Request, watch: WatchOf) -> Response:
    """Give the figures of this process and of the queue in Prometheus' format."""
    try:
        standing: Standing | None = await watch.standing()
    except DomainError:
        standing = None
    return Response(request.app.state.metrics.text(standing), media_type=CONTENT_TYPE_LATEST)


async def _database_parts(watch: Watch, settings: Settings) -> dict[str, Part]:
    try:
        standing = await watch.standing()
    except DomainError as refusal:
        return {"database": Part(status="unhealthy", detail=refusal.message)}
    late_backups = backups.complaint(standing.backups, settings)
    late, lately = standing.oldest_s > _OLDEST_MAX_S, standing.dead_lately
    return {
        "database": Part(status="healthy", figures={"latency_s": round(standing.latency_s, 4)}),
        "queue": Part(
            status="degraded" if late else "healthy",
            detail=f"the oldest event has waited {standing.oldest_s:.0f} s; is a worker running?" if late else "",
            figures={"received": standing.waiting, "failed": standing.retrying, "oldest_s": standing.oldest_s},
        ),
        "dead_letters": Part(
            status="degraded" if lately else "healthy",
            detail=f"{lately} events came to rest within the last hour" if lately else "",
            figures={"dead": standing.dead, "last_hour": lately},
        ),
        "reconciliation": Part(
            status="degraded" if standing.not_reconciled else "healthy",
            detail=f"{standing.not_reconciled} gateway accounts were not compared with their gateways for 26 hours"
            if standing.not_reconciled
            else "",
            figures={"overdue_accounts": standing.not_reconciled},
        ),
        "backups": Part(
            status="degraded" if late_backups else "healthy", detail=late_backups, figures=standing.backups.figures
        ),
    }


def _unready(refusal: DomainError) -> DomainError:
    """Return the refusal with the status that load balancers understand."""
    refusal.status = 503  # type: ignore[misc]
    return refusal


def _worst(verdicts: list[Verdict]) -> Verdict:
    order: tuple[Verdict, ...] = ("unhealthy", "degraded", "healthy")
    return next(verdict for verdict in order if verdict in verdicts)
