"""The invariants: what must hold of every tenant at every commit, each one SQL statement that returns the rows that break it.

INVARIANTS: tuple[Invariant, ...] = (*BOOKS, *GRANTS, *DELIVERED, *EVENTS, *MERGED, *KEYS, *JOBS, *OUTWARD, *SAGAS, *BOOKING)
What it is not: a repair. A broken invariant is a bug, shown with the rows, and answered by a person.

Invariants of the invariants, which tests name:
- each is broken by a test that writes wrong rows by hand, and sees it found with the row named;
- each that the sweep runs stays on indexes, however large the tables are.

Where a joined column is compared with text put together here, `offset 0` keeps the making of the text apart from the
comparison: row-level security lets only leakproof conditions reach an index, and `||` is not one.
"""

from bursar.operations.invariants.booking import BOOKING
from bursar.operations.invariants.books import BOOKS
from bursar.operations.invariants.delivered import DELIVERED
from bursar.operations.invariants.events import EVENTS
from bursar.operations.invariants.grants import GRANTS
from bursar.operations.invariants.invariant import Invariant, Scope
from bursar.operations.invariants.jobs import JOBS
from bursar.operations.invariants.keys import KEYS
from bursar.operations.invariants.merged import MERGED
from bursar.operations.invariants.outward import OUTWARD
from bursar.operations.invariants.sagas import SAGAS

INVARIANTS: tuple[Invariant, ...] = (
    *BOOKS,
    *GRANTS,
    *DELIVERED,
    *EVENTS,
    *MERGED,
    *KEYS,
    *JOBS,
    *OUTWARD,
    *SAGAS,
    *BOOKING,
)

__all__ = ["INVARIANTS", "Invariant", "Scope"]
