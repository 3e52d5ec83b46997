"""How the installation is, part by part: what is wrong and what to do about it.

What it is: one bounded look at the database and this machine, and pure rules that judge what was seen. Everybody reads the
same parts: `/health`, the operators' page, `bursar doctor`, jobs.
What it is not: it changes nothing, calls nobody outside, and alarms nobody.

Invariants:
- of everybody who asks one process within a second, one asks the database;
- a part that is not healthy says what to do;
- parts name no tenant and nothing of one: they may be read by whoever may watch.
"""

from bursar.health.machine import Machine, machine
from bursar.health.parts import Part, Verdict, parts_of, worst
from bursar.health.standing import Issuers, Standing, Troubled, circuits_not_closed
from bursar.health.watch import DatabaseSlow, Watch, current_parts

__all__ = [
    "DatabaseSlow",
    "Issuers",
    "Machine",
    "Part",
    "Standing",
    "Troubled",
    "Verdict",
    "Watch",
    "circuits_not_closed",
    "current_parts",
    "machine",
    "parts_of",
    "worst",
]
