"""Returns: money that arrived for something it does not pay goes back.

What it is: asking for the refund of a purchase that seats nobody and pays no fee. What it is not: deciding that, which `bookings` and
`fees` do; and the money back of what was booked and cancelled, which `bookings` promises by its terms.

Invariants:
- each payment is asked back once for a grant, however often the job runs: the refund's id follows from the two.
"""

from bursar.apps.booking.returns.asking import PaidAtDesk, ask_back

__all__ = ["PaidAtDesk", "ask_back"]
