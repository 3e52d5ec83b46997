"""The sandbox: a business that sells in Stripe's format, for the demo, the simulator and the benchmarks.

What it is: a pure generator of purchase events, and the Stripe adapter under the name `sandbox` (see `registry`).
What it is not: a gateway that answers calls. It is refused in production.

Invariants:
- the same seed gives the same bytes, and events are in chronological order;
- all events of one purchase name each other as Stripe's do, in today's layout and in that of 2020;
- every event translates without a missing field.
"""

from bursar.money.gateways.sandbox.billing_objects import SandboxPrice
from bursar.money.gateways.sandbox.business import business, walk_in
from bursar.money.gateways.sandbox.recorder import SandboxEvent

__all__ = ["SandboxEvent", "SandboxPrice", "business", "walk_in"]
