"""Jobs: what happens later, written down in the transaction that causes it, and done by any worker.

What it is not: it knows no circuits and no gateways, and it is no log: a job that is done is gone, and only counted.

Invariants:
- a job exists exactly where the transaction that enqueued it committed, and once for each open (tenant, kind, key);
- its key at the outside and its request are fixed before its first attempt and never change;
- a claim is committed before anything is done, and is a lease: who holds an older one writes nothing (`LeaseLost`);
- those of one (tenant, lane) run one at a time, in the order of creation;
- an attempt counts when it begins, so that a job that kills its worker ends as dead as well;
- tenants take turns: nobody's hundred thousand jobs keep another's one waiting;
- a tick of a schedule is enqueued once, however many workers look at the clock;
- a job of a kind that no worker here knows stays where it is;
- one that was given up rests for its time and is then forgotten; one whose outcome is unknown rests until it is known.
"""

from bursar.kernel.jobs.backoff import Backoff
from bursar.kernel.jobs.engine import Engine
from bursar.kernel.jobs.enqueuing import JobInvalid, NewJob, enqueue, enqueue_all
from bursar.kernel.jobs.forgetting import forget
from bursar.kernel.jobs.models import (
    INSTALLATION,
    Ambiguous,
    GivenUp,
    Job,
    Kind,
    Kinds,
    LeaseLost,
    Postponed,
    Retry,
)
from bursar.kernel.jobs.resting import REPLAYED_AT_ONCE, JobNotResting, JobOpenAlready, replay, replay_dead, settle
from bursar.kernel.jobs.schedules import Schedule, Timetable
from bursar.kernel.jobs.working import Resources, Work

__all__ = [
    "INSTALLATION",
    "REPLAYED_AT_ONCE",
    "Ambiguous",
    "Backoff",
    "Engine",
    "GivenUp",
    "Job",
    "JobInvalid",
    "JobNotResting",
    "JobOpenAlready",
    "Kind",
    "Kinds",
    "LeaseLost",
    "NewJob",
    "Postponed",
    "Resources",
    "Retry",
    "Schedule",
    "Timetable",
    "Work",
    "enqueue",
    "enqueue_all",
    "forget",
    "replay",
    "replay_dead",
    "settle",
]
