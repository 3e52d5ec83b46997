"""What FastAPI does with refusals, and how they are described in OpenAPI."""

from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bursar.kernel.errors import DomainError
from bursar.kernel.http.problems import (
    MEDIA_TYPE,
    Problem,
    by_status,
    internal_error,
    problem_response,
    validation_failed,
)


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
    refusal = by_status(error.status_code, str(error.detail))
    return problem_response(
        refusal, path=request.url.path, correlation_id=request.scope["correlation_id"], headers=error.headers
    )


async def answer_unforeseen(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the edge logs it, once
    """Exception handler for bugs."""
    return problem_response(internal_error(), path=request.url.path, correlation_id=request.scope["correlation_id"])


EXCEPTION_HANDLERS: dict[Any, Any] = {
    DomainError: answer_domain_error,
    RequestValidationError: answer_validation_error,
    HTTPException: answer_http_exception,
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
