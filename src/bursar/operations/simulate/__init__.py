"""The simulation: the real code on a real PostgreSQL, in a world that does everything wrong.

What it is: a model business sells for months; a hostile network repeats, delays, reorders, drops, cuts and forges its
deliveries; processes are killed, frozen and cut off, the database is crashed, at points that the seed decides. In the
end every event was acknowledged and applied, the fingerprint must equal that of a calm tenant to whom each event was
delivered once and in order, every invariant must hold, and nothing forged may be stored.
Then a studio is rehearsed (`operations.rehearsal`): classes, bookings, waitlists, packs, refunds, checked after every act.
What it is not: deterministic to the last instruction, but for the rehearsal. The seed decides the business, the deliveries and the faults;
the operating system decides the rest, as it will for you.

That it can fail is shown by the controls (`sabotage`): with any of them it exits with 1.
"""

from bursar.operations.simulate.planning import FaultKind, Plan, plan_of
from bursar.operations.simulate.running import Options, simulate
from bursar.operations.simulate.sabotage import CONTROLS
from bursar.operations.simulate.verdict import Verdict

__all__ = ["CONTROLS", "FaultKind", "Options", "Plan", "Verdict", "plan_of", "simulate"]
