"""HTTP as every route speaks it: problem documents, correlation ids, strict bodies, pages of lists.

What it is not: it knows no resource and no caller (`kernel.auth` does). What needs FastAPI (`routes`, `handlers`) is
imported from its own module, so that workers and commands do without.

Invariants:
- every refusal is a problem document with a permanent code; no internals leak;
- a body is read one way or refused: equal keys, NaN, numbers beyond 2^53, NUL and lone surrogates never pass;
- no page of a list costs more than its first.
"""

from bursar.kernel.http.bodies import BodyTooLarge, JsonInvalid, MediaTypeUnsupported, parse_json
from bursar.kernel.http.edge import Edge, api_headers, correlation_id_of, headers_of
from bursar.kernel.http.inputs import (
    AmountMinor,
    Currency,
    Day,
    Email,
    Filters,
    Input,
    Instant,
    Key,
    Lines,
    Name,
    Positive,
    PublicId,
    Reason,
    Url,
    Whole,
)
from bursar.kernel.http.paging import DeletableFilters, Page, PageFilters, page_of
from bursar.kernel.http.problems import MEDIA_TYPE, Problem, problem_body, problem_response, send_problem
from bursar.kernel.http.views import FromJson, View

__all__ = [
    "MEDIA_TYPE",
    "AmountMinor",
    "BodyTooLarge",
    "Currency",
    "Day",
    "DeletableFilters",
    "Edge",
    "Email",
    "Filters",
    "FromJson",
    "Input",
    "Instant",
    "JsonInvalid",
    "Key",
    "Lines",
    "MediaTypeUnsupported",
    "Name",
    "Page",
    "PageFilters",
    "Positive",
    "Problem",
    "PublicId",
    "Reason",
    "Url",
    "View",
    "Whole",
    "api_headers",
    "correlation_id_of",
    "headers_of",
    "page_of",
    "parse_json",
    "problem_body",
    "problem_response",
    "send_problem",
]
