"""The refusals, from the tree of error classes and from the places that raise them."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import bursar
from bursar.kernel import errors
from bursar.kernel.errors import DomainError
from bursar.kernel.http import problems
from generator import markdown

_ABOUT = """
Every refusal is a problem document (RFC 9457, `application/problem+json`) with these fields: `type`, `title`, `status`,
`detail`, `code`, `category`, `errors`, `hint`, `context`, `correlation_id`, `time`, `instance`. `code` is permanent:
programs read it and never `detail`. `errors` names fields by dotted path. `hint` says what to do.
`correlation_id` finds the log line. A 429 or 503 may carry `Retry-After`.

On the command line a refusal is one line on standard error and exit code 1; with `--json` also
`{"error": {"code", "message", "hint"}}` on standard output.

Codes of fields (`errors[].code`): `required`, `unknown_field`, `too_long`, `too_short`, `out_of_range`,
`unknown_value`, `id_invalid`, `cursor_invalid`, `control_character`, `instant_invalid`, and pydantic's own for the rest.
"""

_BY_CATEGORY = {
    "Invalid": "Correct the input; the same request is refused again.",
    "Unauthenticated": "Send a key that is in force.",
    "Forbidden": "Somebody with the right must do it.",
    "NotFound": "Check the id, and that it is this tenant's.",
    "Conflict": "Read the present state, then decide anew.",
    "LimitExceeded": "Send less, or later.",
    "GatewayRefused": "Read the gateway's reason.",
    "Unavailable": "Try again after a moment.",
}

_GIVEN = {
    "signature_invalid": "`context.reason` says which: `missing_header`, `malformed_header`, `wrong_signature`, "
    "`timestamp_outside_tolerance`, `never_delivered`. Check the endpoint's secret, the clock, and that no proxy rewrites the body.",
    "signing_secret_invalid": "Copy it from the gateway's endpoint page.",
    "spend_reserved": "As its hint says: cancel the booking, or transfer the credits back; a refused refund of a pack gives them back itself. "
    "For a spend of your own choose another reference.",
    "grant_invalid": "See [what a price grants](../how-to/define-what-a-price-grants.md); `errors` names the grant and the field.",
}


def page() -> str:
    """Return the page."""
    hints = _hints()
    by_place: dict[str, dict[str, list[type[DomainError]]]] = {}
    for refusal in sorted(refusals(), key=lambda c: (c.category, c.code, c.__module__)):
        by_place.setdefault(_place(refusal), {}).setdefault(refusal.code, []).append(refusal)
    rows = {place: [_row(same, hints) for same in found.values()] for place, found in by_place.items()}
    head = ("code", "status", "category", "when", "what to do")
    return markdown.page(
        "Error codes",
        _ABOUT,
        "## Categories",
        markdown.table(
            ("category", "status", "what to do"),
            [(markdown.code(c.category), c.status, _BY_CATEGORY[c.__name__]) for c in _categories()],
        ),
        "## Refusals",
        "Of the API, of deliveries, and of commands that do the same.",
        markdown.table(head, rows[""]),
        "## Answers of the HTTP layer",
        markdown.table(("code", "status", "when"), _framework()),
        "## Only on the pages",
        markdown.table(head, rows.get("bursar.web.pages", ())),
        "## Only on the command line",
        markdown.table(("code", "when", "what to do"), [(row[0], *row[3:]) for row in rows["bursar.cli"]]),
    )


def _row(same: list[type[DomainError]], hints: dict[str, list[str]]) -> tuple[str, ...]:
    """Return the row of a code, which several classes may share."""
    first = same[0]
    told = dict.fromkeys(hint for refusal in same for hint in hints.get(refusal.__name__, ()))
    when = dict.fromkeys(markdown.sentence(refusal.__doc__) for refusal in same)
    kind = next(c for c in first.__mro__ if c in _categories())
    return (
        markdown.code(first.code),
        str(first.status),
        markdown.code(first.category),
        " ".join(when),
        _GIVEN.get(first.code) or " ".join(told) or _BY_CATEGORY[kind.__name__],
    )


def _place(refusal: type[DomainError]) -> str:
    """Return where alone a refusal can be met; nothing for most."""
    return next((place for place in ("bursar.cli", "bursar.web.pages") if refusal.__module__.startswith(place)), "")


def _categories() -> list[type[DomainError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and DomainError in c.__bases__]


def refusals() -> Iterator[type[DomainError]]:
    """Yield every refusal that has a class of its own."""
    for module in pkgutil.walk_packages(bursar.__path__, "bursar."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    pending = _categories()
    seen: set[type[DomainError]] = set()
    while pending:
        for child in pending.pop().__subclasses__():
            if child not in seen and child.__module__.startswith("bursar."):
                seen.add(child)
                pending.append(child)
    yield from seen


def _framework() -> list[tuple[str, object, str]]:
    """What the framework answers before any code of ours is asked."""
    told = [problems.by_status(status, "") for status in (404, 405, 413)] + [problems.internal_error()]
    rows = [(markdown.code(t.answer_code), t.answer_status, f"{t.message}. {t.hint}") for t in told]
    return [
        *rows,
        ("`invalid`", 422, "The input does not have the documented form; `errors` names the fields."),
        ("`id_invalid`", 400, "An id in the path is not of the kind that belongs there."),
        ("`cursor_invalid`", 422, "The cursor is not one we gave. Begin again without a cursor."),
    ]


def _hints() -> dict[str, list[str]]:
    """Return the hints that are written where each class is raised, or handed to what raises it."""
    hints: dict[str, list[str]] = {}
    for path in sorted(Path(bursar.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                told = next((k.value for k in node.keywords if k.arg == "hint"), None)
                text = _ended(_text(told))
                for named in (node.func, *node.args):
                    if text and isinstance(named, ast.Name) and text not in hints.setdefault(named.id, []):
                        hints[named.id].append(text)
    return hints


def _text(node: ast.expr | None) -> str:
    """Return the words of a text in the source; what is filled in at run time becomes an ellipsis."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    return ""


def _ended(text: str) -> str:
    return f"{text}." if text and not text.endswith((".", "…")) else text
