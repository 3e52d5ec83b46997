"""Requests are dispatched by an index of their paths, and find exactly the route that the framework would find by asking each in turn."""

from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import FastAPIError
from fastapi.responses import PlainTextResponse
from fastapi.routing import iter_route_contexts
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.routing import Match, Mount

from bursar.kernel.http.dispatch import Dispatch
from bursar.kernel.http.routes import LateRoute
from bursar.kernel.settings import Settings
from bursar.web.app import create_app

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
SEGMENTS = st.sampled_from(["v1", "a", "b", "", "7", "x.css", "a b", "{id}", "1.5", "\n", "a\n", ".."])
ROUTER = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/none")).api.router
ADDRESSES = sorted({str(context.path_format) for context in iter_route_contexts(ROUTER.routes)})
PIECES = (
    *("/a", "/a/", "/a/b", "/{id}", "/{id}/b", "/a/{id}", "/a/{id}/b", "/{id:int}", "/a/{id:int}", "/{id:float}"),
    *("/{id:uuid}", "/x{id}", "/{id}.css", "/{one}/{two}", "/a/{rest:path}", "/{rest:path}", "/{rest:path}/b", "/"),
)


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """Return the path of one of the project's routes with something in its parameters, whole or not quite."""
    segments = draw(st.sampled_from(ADDRESSES)).split("/")
    told = [draw(SEGMENTS) if "{" in each else each for each in segments]
    match draw(st.sampled_from(["whole", "whole", "shorter", "longer", "other", "line feed"])):
        case "shorter":
            told.pop()
        case "longer":
            told.append(draw(SEGMENTS))
        case "other":
            told[draw(st.integers(0, len(told) - 1))] = draw(SEGMENTS)
        case "line feed":
            told[-1] += "\n"
    return "/".join(told)


def scope_of(method: str, path: str, accept: str) -> dict[str, Any]:
    headers = [(b"accept", accept.encode()), (b"host", b"bursar.test")]
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": headers, "query_string": b""}


def framework_finds(routes: Any, scope: dict[str, Any]) -> tuple[Match, Any, Any]:
    """Ask every route in turn, as the framework does; return the match, the endpoint and the parameters."""
    partial = (Match.NONE, None, None)
    for each in routes:
        route = each
        match, told = route.matches(scope)
        while match is not Match.NONE and hasattr(route, "_match"):  # an included router tells of a match, not of which
            match, told, route = route._match(scope)[:3]
        if match is Match.FULL:
            return match, told["endpoint"], told["path_params"]
        if match is Match.PARTIAL and partial[0] is Match.NONE:
            partial = match, told["endpoint"], told["path_params"]
    return partial


@effort(max_examples=200, deadline=None)
@given(st.sampled_from(METHODS), addresses(), st.sampled_from(["application/json", "text/html"]))
def test_every_request_finds_the_route_that_it_would_find_without_the_index(method: str, path: str, accept: str):
    dispatch = Dispatch(ROUTER) if not isinstance(ROUTER.middleware_stack, Dispatch) else ROUTER.middleware_stack

    match, _, told = dispatch.find(scope_of(method, path, accept))

    found = (match, told.get("endpoint"), told.get("path_params"))
    assert found == framework_finds(ROUTER.routes, scope_of(method, path, accept))


def test_each_address_of_the_project_asks_few_routes():
    dispatch = ROUTER.middleware_stack
    assert isinstance(dispatch, Dispatch)

    asked = {}
    for path in ADDRESSES:
        dispatch.find(scope_of("GET", path, "application/json"))
        asked[path] = len(list(dispatch._root.fitting(path.split("/"), 0)))

    assert len(ADDRESSES) > 250
    assert {path: count for path, count in asked.items() if count > 12} == {}


async def _answer(request: Request) -> PlainTextResponse:
    route = request.scope.get("route")
    told = (request.method, getattr(route, "path", None), sorted(request.path_params.items()), request.url.path)
    return PlainTextResponse(f"{request.scope.get('said')} {told}")


def _says(word: str) -> Any:
    async def says(request: Request) -> None:
        request.scope["said"] = word

    return Depends(says)


declared = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from([("GET",), ("POST",), ("GET", "PUT")])), min_size=1, max_size=8
)
branches = st.lists(st.tuples(st.sampled_from(["", "/v1", "/{held}"]), declared), min_size=1, max_size=3)


def application(chosen: Any, *, is_indexed: bool, redirects: bool) -> FastAPI:
    """Return an application of routers with prefixes and dependencies, one within another, a mount and a route by itself."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=redirects)
    outer = APIRouter()
    for number, (prefix, routes) in enumerate(chosen):
        inner = APIRouter(dependencies=[_says(f"inner{number}")])
        for path, methods in routes:
            inner.add_api_route(path, _answer, methods=list(methods))
        home = outer if number % 2 else app
        home.include_router(inner, prefix=prefix, dependencies=[_says(f"included{number}")])
    app.include_router(outer, prefix="/b")
    app.router.routes.append(Mount("/a/b", app=PlainTextResponse("mounted"), name="mounted"))
    app.router.add_route("/v1/a", _answer, methods=["DELETE"])
    if is_indexed:
        app.router.middleware_stack = Dispatch(app.router)
    return app


@pytest.mark.anyio
@effort(max_examples=40, deadline=None)
@given(
    branches,
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(METHODS), st.lists(SEGMENTS, max_size=4)), min_size=8, max_size=12),
)
async def test_whatever_routes_there_are_the_answers_are_those_of_the_framework(chosen, redirects, asked):
    answers = []
    for is_indexed in (False, True):
        app = application(chosen, is_indexed=is_indexed, redirects=redirects)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://bursar.test") as http:
            told = [await http.request(method, "/" + "/".join(path).replace("\n", "%0A")) for method, path in asked]
        answers.append(
            [
                (a.status_code, sorted(a.headers.get("allow", "").split(", ")), a.headers.get("location"), a.text)
                for a in told
            ]
        )

    assert answers[0] == answers[1]


def test_a_route_is_analysed_when_it_is_first_asked_and_all_of_them_can_be():
    fresh = LateRoute("/v1/things/{thing}", _thing, methods=["get"])
    assert "dependant" not in vars(fresh)
    assert (fresh.matches(scope_of("GET", "/v1/things/7", ""))[0], "dependant" in vars(fresh)) == (Match.FULL, False)

    names = [parameter.name for parameter in fresh.dependant.path_params]
    dependants = [route.dependant for route in ROUTER.routes if isinstance(route, LateRoute)]

    assert (names, fresh.methods, fresh.name) == (["thing"], {"GET"}, "_thing")
    assert len(dependants) > 400
    assert not hasattr(fresh, "nothing_of_this_name")


def test_a_route_that_cannot_be_analysed_says_so_each_time():
    broken = LateRoute("/broken", _broken)

    for _ in range(2):
        with pytest.raises(FastAPIError, match="Invalid args for response field"):
            _ = broken.app


async def _thing(thing: int) -> int:
    return thing


async def _broken() -> Dispatch:
    raise NotImplementedError
