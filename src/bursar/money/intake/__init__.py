"""Intake: deliveries come in, are verified on their raw bytes, made durable, and only then acknowledged.

What it is: gateway accounts, the event store, the queue between them and the appliers, retries, dead
letters, replays. What it is not: it reads a body only to file it; what the event means is for `applying`.

What makes a repeated event harmless, first line: `receiving.py`, the unique key (account, event id).

Invariants:
- 2xx is answered after the commit that stored the event, never before;
- an event id of an account is stored once;
- every stored event is queued, applied, ignored or dead, and never two of them at once;
- nothing is applied twice *for* an event: its queue row goes in the transaction that writes its effects.
"""

from bursar.money.intake.directory import AccountUnknown, GatewayAccount, signing_purpose
from bursar.money.intake.filing import file_own_event, file_written, lane_bucket
from bursar.money.intake.receiving import Delivery, Intake, Receipt
from bursar.money.intake.replays import replay_events, replay_matching

__all__ = [
    "AccountUnknown",
    "Delivery",
    "GatewayAccount",
    "Intake",
    "Receipt",
    "file_own_event",
    "file_written",
    "lane_bucket",
    "replay_events",
    "replay_matching",
    "signing_purpose",
]
