"""Fulfilment: what was paid for is delivered once, and taken back when the money goes back.

What it is: one grant for each thing that a price grants to a purchase or a subscription, brought to the
state that the merged facts say (active, suspended, revoked), and the *fulfillers* that turn grants of
their kind into what the customer can use. Apps register fulfillers for kinds of their own.
What it is not: it does not judge what was paid; `purchases` does.

Where a refund takes credits back: `credits.py`, `taken_back`.

Invariants:
- a grant is named by (source, price, position), so it exists once however many events tell of it;
- after returns of R out of a payment of A, floor(granted × R ÷ A) is taken back; a full return takes all;
- no lot is below zero: what was spent before it was taken back is a visible shortfall;
- every change of a lot is a movement, and the movements of a lot sum to what remains.
"""

from bursar.money.fulfilment.fulfillers import Fulfiller, Registry, SpecInvalid
from bursar.money.fulfilment.grants import Change, Grant, GrantStatus, Target, bring_to, move_grants
from bursar.money.fulfilment.standing import Standing, standing_targets, unpaid_since
from bursar.money.fulfilment.targets import purchase_targets
from bursar.money.fulfilment.uniting import carry_spending

__all__ = [
    "Change",
    "Fulfiller",
    "Grant",
    "GrantStatus",
    "Registry",
    "SpecInvalid",
    "Standing",
    "Target",
    "bring_to",
    "carry_spending",
    "move_grants",
    "purchase_targets",
    "standing_targets",
    "unpaid_since",
]
