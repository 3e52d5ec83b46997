"""Circuit breakers around every outside service, whose state all processes share through the database.

What it is: one circuit for each (tenant, subject, operation), for instance a gateway account and `refund`. It opens when calls
fail, lets one probe through after a while, and closes when that goes well. Whoever may not call is given a place in a queue.
What it is not: it calls nobody, and knows nothing of money.

Invariants:
- of a half-open circuit at most one probe is under way, and only the holder of the newest fence decides what it meant;
- those who wait come back one after another at a limited rate, never together, however long the outage was;
- while nothing fails nothing is written, and the state is read at most once a second in each process.
"""

from bursar.kernel.circuits.breaking import CircuitNotFound, Circuits, reset_circuit
from bursar.kernel.circuits.models import Admission, Circuit, CircuitState, Refused

__all__ = [
    "Admission",
    "Circuit",
    "CircuitNotFound",
    "CircuitState",
    "Circuits",
    "Refused",
    "reset_circuit",
]
