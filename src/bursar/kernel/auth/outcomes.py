"""Requests whose outcome is known only later: they are committed, answered 202, and made final when the outcome is there.

A route that needs somebody outside writes an intent and answers 202 with the id of what it made. After the commit, and outside
any transaction, its outcome is waited for; where it comes in time the answer is 201 with all of it, and that is then what a
repetition of the key gets. Where it does not, the 202 stands, and the resource tells the rest to whoever reads it.

Source: RFC 9110, section 15.3.3; decision 0201.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic import BaseModel
from starlette.responses import Response

from bursar.kernel import idempotency

if TYPE_CHECKING:
    from bursar.kernel.auth.routes import Caller

Outcome = Callable[["Caller", str], Awaitable[BaseModel | None]]
"""Wait for what became of the resource of this public id. None: it is not known yet. Raises what its refusal is."""

_AGAIN_S: Final = 2


async def final_of(answer: Response, caller: "Caller", outcome: Outcome) -> Response:
    """Return the final answer in place of one of 202, or that one itself while there is none. Holds no connection. Raises refusals."""
    if answer.status_code != HTTPStatus.ACCEPTED:
        return answer
    told = await outcome(caller, _id_in(bytes(answer.body)))
    if told is None:
        answer.headers["retry-after"] = str(_AGAIN_S)
        return answer
    kept = {
        name: value for name in (*idempotency.HEADERS_KEPT, idempotency.REPLAYED) if (value := answer.headers.get(name))
    }
    return Response(told.model_dump_json(by_alias=True), HTTPStatus.CREATED, kept)


def _id_in(body: bytes) -> str:
    found: dict[str, Any] = msgspec.json.decode(body)
    return str(found["id"])
