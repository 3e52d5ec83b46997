"""What FastAPI does with refusals, and how they are described in OpenAPI."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from bursar.kernel import tracing
from bursar.kernel.errors import DomainError, Unavailable
from bursar.kernel.http.addresses import client_address
from bursar.kernel.http.problems import (
    MEDIA_TYPE,
    Problem,
    by_status,
    internal_error,
    problem_response,
    validation_failed,
)
from bursar.kernel.http.suspicion import suspicions_of_address
from bursar.kernel.resources import resources_of
from bursar.kernel.security import observe


class DatabaseBusy(Unavailable):
    """Others had the rows, or the question took too long. Nothing was changed; it may be asked again."""

    code = "database_busy"


_TRANSIENT = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
)

_log = structlog.get_logger("bursar.http")


async def answer_domain_error(request: Request, error: Exception) -> Response:
    """Exception handler for refusals of the domain."""
    assert isinstance(error, DomainError)
    return problem_response(error, path=request.url.path, correlation_id=request.scope["correlation_id"])


async def answer_validation_error(request: Request, error: Exception) -> Response:
    """Exception handler for input that does not fit a route's form."""
    assert isinstance(error, RequestValidationError)
    refusal = validation_failed(error.errors())
    return problem_response(refusal, path=request.url.path, correlation_id=request.scope["correlation_id"])


async def answer_http_exception(request: Request, error: Any) -> Response:
    """Exception handler for what the framework itself refuses: unknown paths and methods, unreadable forms."""
    if found := suspicions_of_address(request.url.path, request.url.query):
        resources = resources_of(request)
        await observe(
            resources,
            tenant_id=None,
            kind="suspicious_input",
            actor="",
            address=client_address(request.scope, resources.settings),
            detail=f"{request.method} of an unknown path: {', '.join(sorted(found))}",
        )
    refusal = by_status(error.status_code, str(error.detail))
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = ", ".join(sorted(_methods_at(request, request.app.router.routes))) or headers["allow"]
    return problem_response(
        refusal, path=request.url.path, correlation_id=request.scope["correlation_id"], headers=headers
    )


def _methods_at(request: Request, routes: Iterable[Any]) -> set[str]:
    """Return what this path takes; the framework tells only of the first route that has the path."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, APIRoute):
            found |= set(route.methods or ()) if route.matches(request.scope)[0] is not Match.NONE else set()
        elif inner := getattr(route, "original_router", None):  # how newer versions keep an included router
            found |= _methods_at(request, inner.routes)
    return found


async def answer_database_error(request: Request, error: Exception) -> Response:
    """Exception handler for PostgreSQL's refusals: those that pass by themselves, and bugs."""
    refusal: DomainError
    if isinstance(error, _TRANSIENT):
        _log.warning("database_busy", error=type(error).__name__, path=request.url.path)
        refusal = DatabaseBusy("the database was too busy to answer", hint="Try again.", retry_after_s=2)
    else:
        _log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
        tracing.report(error, correlation_id=request.scope["correlation_id"])
        refusal = internal_error()
    return problem_response(refusal, path=request.url.path, correlation_id=request.scope["correlation_id"])


async def answer_timeout(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the shape of a handler
    """Exception handler for a database that stopped answering in the middle."""
    _log.warning("database_timeout", path=request.url.path)
    refusal = DatabaseBusy("the database took too long to answer", hint="Try again.", retry_after_s=2)
    return problem_response(refusal, path=request.url.path, correlation_id=request.scope["correlation_id"])


async def answer_unforeseen(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the edge logs it, once
    """Exception handler for bugs."""
    return problem_response(internal_error(), path=request.url.path, correlation_id=request.scope["correlation_id"])


EXCEPTION_HANDLERS: dict[Any, Any] = {
    DomainError: answer_domain_error,
    RequestValidationError: answer_validation_error,
    HTTPException: answer_http_exception,
    asyncpg.PostgresError: answer_database_error,
    TimeoutError: answer_timeout,
    Exception: answer_unforeseen,
}

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, text in {
        "4XX": "Refused; `code` says why.",
        "5XX": "Our side, or a gateway's; try again.",
    }.items()
}
"""Responses that every route of the API may give."""

__all__ = ["EXCEPTION_HANDLERS", "REFUSALS", "Problem"]
