"""Routes for those who run Bursar: is it alive, is it ready, how is it, and its figures. They need no key."""

from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from bursar import __version__
from bursar.bootstrap import kinds
from bursar.health import Issuers, Part, Standing, Verdict, Watch, worst
from bursar.kernel.errors import DomainError
from bursar.kernel.http.addresses import client_address, networks
from bursar.kernel.http.routes import StrictRoute
from bursar.kernel.resources import resources_of

router = APIRouter(route_class=StrictRoute, tags=["operating"])


class Alive(BaseModel):
    status: Literal["alive"] = "alive"
    version: str = __version__


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


class PartView(BaseModel):
    """One part of the installation. advice: what to do."""

    status: Verdict
    latency_s: float | None = Field(default=None, description="Of the question about it.")
    detail: str = ""
    advice: str = Field(default="", description="What to do; empty when the part is healthy.")
    figures: dict[str, float] = Field(default_factory=dict)


class Health(BaseModel):
    """The worst of the parts decides. Unhealthy is answered with 503."""

    status: Verdict
    version: str = __version__
    parts: dict[str, PartView]


async def _watch(request: Request) -> Watch:
    state = request.app.state
    if not hasattr(state, "watch"):
        state.watch = Watch(resources_of(request), kinds(), issuers=lambda: Issuers(*state.tokens.standing()))
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
async def health(response: Response, watch: WatchOf) -> Health:
    """Tell how every part is, and what to do about one that is not well."""
    found = await watch.parts()
    verdict = worst(found)
    if verdict == "unhealthy":
        response.status_code = 503
    return Health(status=verdict, parts={part.name: _view(part) for part in found})


@router.get(
    "/metrics", dependencies=_WATCHERS, response_class=Response, responses={200: {"content": {"text/plain": {}}}}
)
async def metrics(request: Request, watch: WatchOf) -> Response:
    """Give the figures of this process and of the queue in Prometheus' format."""
    try:
        standing: Standing | None = await watch.standing()
        connections = resources_of(request).db.connections
    except DomainError:
        standing, connections = None, {}
    told = request.app.state.metrics.text(standing, await watch.parts(), connections)
    return Response(told, media_type=CONTENT_TYPE_LATEST)


def _view(part: Part) -> PartView:
    return PartView(
        status=part.status,
        latency_s=part.latency_s,
        detail=part.detail,
        advice=part.advice,
        figures=part.figures,
    )


def _unready(refusal: DomainError) -> DomainError:
    """Return the refusal with the status that load balancers understand."""
    refusal.status = 503  # type: ignore[misc]
    return refusal
