"""Reconciliation: what a gateway has, compared with what we were told, object by object, in both directions.

What it is: a run lists every kind of object of one account, page by page, and compares each page with the merged
registers; what differs is repaired by merging what the gateway showed, as a report of our own, or is explained.
What it is not: it decides nothing about money (`applying` does, from what is merged), and it compares no events.

Invariants:
- a page is compared, its differences written down, their repairs filed and the run moved on in one transaction;
- no page counts twice, however often a run is killed and continued, or two workers have it;
- an object has at most one difference that stands; one that the next run does not find any more is closed;
- what is younger than the grace, or has a report under way, is `timing`, and is not repaired;
- no transaction is open while the gateway is asked, and no more than a page of it is held in memory.
"""

from bursar.money.reconciliation.missed import Missed, file_missed
from bursar.money.reconciliation.models import GRACE, OVERDUE, Class, State, Why
from bursar.money.reconciliation.running import Reconciler, Waiting
from bursar.money.reconciliation.runs import (
    NothingOutside,
    ReconciliationNotFound,
    ReconciliationRunning,
    WindowInvalid,
    begin_run,
)

__all__ = [
    "GRACE",
    "OVERDUE",
    "Class",
    "Missed",
    "NothingOutside",
    "Reconciler",
    "ReconciliationNotFound",
    "ReconciliationRunning",
    "State",
    "Waiting",
    "Why",
    "WindowInvalid",
    "begin_run",
    "file_missed",
]
