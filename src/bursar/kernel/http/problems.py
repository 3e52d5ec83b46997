"""Refusals as RFC 9457 problem documents: what happened, which fields, what to do, and how to find it in the log.

Source: RFC 9457 "Problem Details for HTTP APIs".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Send

from bursar.kernel.errors import DomainError, FieldError

MEDIA_TYPE = "application/problem+json"
CORRELATION_HEADER = "x-correlation-id"
ERRORS_MAX = 50
_TEXT_MAX = 500
"""A refusal may repeat a name that the caller made up, but not a megabyte of it."""

_CATEGORIES = {400: "validation", 404: "not_found", 405: "not_found", 413: "rate_limit", 422: "validation"}

# pydantic's kinds of error under names that stay when pydantic renames its own.
_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "too_short": "too_short",
    "less_than_equal": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "greater_than": "out_of_range",
    "literal_error": "unknown_value",
    "enum": "unknown_value",
}


class ProblemField(BaseModel):
    """One field and what is wrong with it."""

    field: str = Field(examples=["lines.0.quantity"], description="Dotted path; empty for the input as a whole.")
    code: str = Field(examples=["out_of_range"])
    message: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """Every refusal has this shape (RFC 9457). `code` is permanent; read it, not `detail`."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(examples=["urn:bursar:error:not_found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no payment of this id"])
    code: str = Field(examples=["not_found"])
    category: str = Field(examples=["not_found"])
    errors: list[ProblemField] = Field(default_factory=list)
    hint: str = Field(default="", examples=["Check the id, and that it belongs to this tenant."])
    context: dict[str, str | int] = Field(default_factory=dict, description="Figures behind the refusal.")
    correlation_id: str = Field(examples=["01kapj5m6rfq1v5wx6h0b1a2c3"])
    time: datetime
    instance: str = Field(examples=["/v1/payments/pay_01kapj5m6rfq1v5wx6h0b1a2c3"])


class _Wrong(DomainError):
    """A refusal that has no class of its own: given by the framework, or unforeseen."""

    def __init__(
        self, status: int, code: str, message: str, *, hint: str = "", fields: tuple[FieldError, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint, fields=fields)
        self.answer_status, self.answer_code = status, code


def problem_body(error: DomainError, *, path: str, correlation_id: str) -> bytes:
    """Return the document that tells a refusal."""
    status, code = _status_and_code(error)
    problem = Problem(
        type=f"urn:bursar:error:{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=error.message[:_TEXT_MAX],
        code=code,
        category=error.category if type(error) is not _Wrong else _CATEGORIES.get(status, "error"),
        errors=[
            ProblemField(field=f.field[:_TEXT_MAX], code=f.code, message=f.message[:_TEXT_MAX])
            for f in error.fields[:ERRORS_MAX]
        ],
        hint=error.hint,
        context=error.context,
        correlation_id=correlation_id,
        time=datetime.now(UTC),
        instance=path,
    )
    return problem.model_dump_json().encode("utf-8", "replace")


def problem_response(
    error: DomainError, *, path: str, correlation_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer that tells a refusal."""
    status, _ = _status_and_code(error)
    extra = {CORRELATION_HEADER: correlation_id, **(headers or {})}
    if error.retry_after_s is not None:
        extra["retry-after"] = str(error.retry_after_s)
    if status == HTTPStatus.UNAUTHORIZED:
        extra.setdefault("www-authenticate", "Bearer")
    body = problem_body(error, path=path, correlation_id=correlation_id)
    return Response(body, status, extra, MEDIA_TYPE)


async def send_problem(
    error: DomainError, send: Send, *, path: str, correlation_id: str, extra: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Answer a raw ASGI request with a refusal. extra: further headers."""
    answer = problem_response(error, path=path, correlation_id=correlation_id)
    headers = [*answer.raw_headers, *extra]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(answer.body)})


def internal_error() -> DomainError:
    """Return what the caller learns of a bug: nothing but where to ask."""
    return _Wrong(
        500,
        "internal_error",
        "something went wrong on our side",
        hint="Try again; if it stays, give the correlation id to whoever runs this installation.",
    )


def by_status(status: int, detail: str) -> DomainError:
    """Return the refusal behind a status that the framework answered with."""
    match status:
        case 404:
            return _Wrong(404, "not_found", "there is nothing at this path", hint="GET /openapi.json lists every path.")
        case 405:
            return _Wrong(
                405, "method_not_allowed", "this path does not take this method", hint="See the Allow header."
            )
        case 413:
            return _Wrong(413, "body_too_large", "the body is too large")
        case _:
            return _Wrong(status, HTTPStatus(status).name.lower(), detail)


def validation_failed(errors: Sequence[Any]) -> DomainError:
    """Return the refusal of an input that does not have the documented form. The input itself is not repeated.

    errors: as pydantic reports them. An id of a wrong kind in the path is told as such.
    """
    fields = tuple(_field(error) for error in errors[:ERRORS_MAX])
    if any(error["type"] == "id_invalid" and tuple(error["loc"])[:1] == ("path",) for error in errors):
        return _Wrong(400, "id_invalid", fields[0].message, hint="Pass the id as you received it.", fields=fields)
    if any(error["type"] == "cursor_invalid" for error in errors):
        hint = "Begin again without a cursor."
        return _Wrong(422, "cursor_invalid", "the cursor is not one we gave", hint=hint, fields=fields)
    names = ", ".join(dict.fromkeys(f.field for f in fields if f.field)) or "the input"
    hint = "See errors, and /docs for the form."
    return _Wrong(422, "invalid", f"not as documented: {names[:200]}", hint=hint, fields=fields)


def _status_and_code(error: DomainError) -> tuple[int, str]:
    if isinstance(error, _Wrong):
        return error.answer_status, error.answer_code
    # Only named refusals may say what they are; a bare DomainError is a bug told to the outside.
    return (500, "internal_error") if type(error) is DomainError else (error.status, error.code)


def _field(error: Any) -> FieldError:
    where = [str(part)[:64] for part in error["loc"]]
    kind = str(error["type"])
    return FieldError(".".join(where[1:])[:200], _CODES.get(kind, kind), str(error["msg"])[:300])
