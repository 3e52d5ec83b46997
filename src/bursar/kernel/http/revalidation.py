"""Answers that a caller may keep a copy of, and must ask about before it uses it: ETag and If-None-Match (RFC 9110, 13.1.2).

The row is read each time, so that no copy is used after it changed, whichever process changed it; what is saved is the body.
"""

import hashlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

_MARK: Final = "__bursar_revalidated__"
_CACHING: Final = "private, no-cache"
_DIGEST_LENGTH: Final = 32

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def revalidated(endpoint: Endpoint) -> Endpoint:
    """Declare that a route's answers bear an ETag."""
    setattr(endpoint, _MARK, True)
    return endpoint


def is_revalidated(endpoint: Callable[..., Any]) -> bool:
    """Return whether that was declared."""
    return getattr(endpoint, _MARK, False)


def told_once(request: Request, answer: Response) -> Response:
    """Return an answer with its ETag, or 304 without a body where the caller has just this answer already."""
    if answer.status_code != HTTPStatus.OK:
        return answer
    etag = f'"{hashlib.sha256(answer.body).hexdigest()[:_DIGEST_LENGTH]}"'
    headers = {"etag": etag, "cache-control": _CACHING, "vary": "Authorization, Bursar-Tenant"}
    if _names(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    answer.headers.update(headers)
    return answer


def _names(told: list[str], etag: str) -> bool:
    """Compare weakly, as If-None-Match is: a proxy that compressed the answer may have made its tag weak."""
    tags = [tag.strip().removeprefix("W/") for line in told for tag in line.split(",")]
    return etag in tags or "*" in tags
