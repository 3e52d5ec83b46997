"""The sandbox: a simulator of Stripe's server, for demos, tests and trying things out. Never in production.

What it is: an outside. It runs as a process of its own, keeps what it knows in a file of its own, speaks Stripe's wire
format to the official SDK unchanged, shows customers a checkout page, and sends signed webhooks. Its clock can be moved
forward, and it misbehaves when told to.
What it is not: Stripe. `docs/how-to/use-the-sandbox.md` lists what it leaves out; what it does not know it refuses by name.

Invariants:
- what a request did and the answer under its idempotency key are committed together, and survive SIGKILL;
- an intent has at most one charge that succeeded; refunds never exceed what was captured;
- a session is paid for once; moving the clock runs everything that falls due, once, in the order of its time;
- an object of one API key is nothing to another one.
"""

from bursar.sandbox.server import Application, Protocol

__all__ = ["Application", "Protocol"]
