"""Subscriptions: their newest state, and what they grant for as long as they last.

What it is not: a billing engine; gateways renew and charge, Bursar merges what they report.

Invariants:
- the state is the newest snapshot's; a canceled subscription is never reopened by a delayed report;
- a subscription's grants exist once, however many periods are paid.
"""

from bursar.money.subscriptions.recording import Subscribed, record_subscriptions
from bursar.money.subscriptions.standings import standings_of

__all__ = ["Subscribed", "record_subscriptions", "standings_of"]
