"""The invariants, from the list that `bursar verify` runs."""

import inspect

from bursar.operations import invariants, tenancy
from bursar.operations.invariants import Invariant, Scope
from generator import markdown

_ABOUT = """
What must hold of every tenant at every commit. Each is one SQL statement that returns the rows that break it.
`bursar verify` runs all of them over everything, in one snapshot, and exits with 1 when one is broken.
What to do then: [read a broken invariant](../how-to/read-a-broken-invariant.md).

*swept*: provable row by row, so that a running check can look at what changed alone.
Where it says "verify only", the whole table must be read.
"""


def page() -> str:
    """Return the page."""
    groups = [_group(module) for _, module in inspect.getmembers(invariants, inspect.ismodule) if _listed(module)]
    everywhere = markdown.table(
        ("name", "promises", "counts rows of"),
        [("`rows_have_tenants`", markdown.sentence(tenancy.__doc__), "every table")],
    )
    return markdown.page("Invariants", _ABOUT, *groups, "## The installation", everywhere)


def _listed(module: object) -> bool:
    return bool(_of(module))


def _of(module: object) -> tuple[Invariant, ...]:
    named = [value for name, value in vars(module).items() if name.isupper() and isinstance(value, tuple)]
    return next((value for value in named if value and isinstance(value[0], Invariant)), ())


def _group(module: object) -> str:
    title, _, promise = markdown.sentence(inspect.getdoc(module)).partition(": ")
    rows = [(markdown.code(i.name), i.promises, markdown.code(i.subject), _swept(i.scope)) for i in _of(module)]
    about = f"{promise[:1].upper()}{promise[1:]}" if promise else ""
    return f"## {title}\n\n{about}\n\n" + markdown.table(("name", "promises", "counts rows of", "swept"), rows)


def _swept(scope: Scope) -> str:
    return {Scope.never: "verify only", Scope.whole: "whole"}.get(scope, f"by {scope.value}")
