"""The sweep: the invariants again, every minute, over what changed since it last looked.

What it is: a check in the worker that finds a broken row within about a minute, at a cost that follows the changes and
not the tables, and the red mark for whoever asks.
What it is not: `verify`. Three things are provable only from whole tables and are left to it: that no natural key got
a twin, that balances equal the sum of all entries, that rows have tenants.

Invariants:
- what changed is looked at again for a minute after its change, so that a transaction that commits late is not missed;
- what was found broken is looked at every time, until it is whole;
- a tenant is looked at by one worker at a time.
"""

from bursar.operations.sweep.looking import Mark, Swept, red_marks, sweep

__all__ = ["Mark", "Swept", "red_marks", "sweep"]
