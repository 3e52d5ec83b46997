"""Calls: what we ask of gateways happens once, however often it has to be sent.

What it is: the intent, written down with its bytes in the transaction that causes it; the job that sends it; the outcome, written
with the report of what the gateway answered. What it is not: it merges nothing, the report is applied like a delivery.

Invariants:
- the same key is the same call: asking twice is asking once, and asking something else under it is refused;
- bytes and idempotency key stand before the first byte is sent; a new key is used only when the old one surely did nothing;
- a call whose outcome cannot be told is `unknown`, shown, and never repeated blindly; it is looked for, and settled where the
  gateway shows its effect, or surely has none; where that proves nothing either, it stays for a person;
- every call has an outcome or an open job;
- outcome, report, word to whoever asked, and the end of the job are one transaction, which only the job's holder commits.
"""

from bursar.money.calls.accounts import Account, check_account
from bursar.money.calls.asking import CallKeyReused, CallNotFound, ask, look_again, tell_too, waited
from bursar.money.calls.executing import execution, lookup
from bursar.money.calls.fetching import FETCHED_KINDS, Fetched, FetchedKind, GatewayObjectNotFound, fetch_object
from bursar.money.calls.links import open_link
from bursar.money.calls.models import EXECUTE, LOOK, Asker, CallState, Ended
from bursar.money.calls.outside import Outside, Place, read_now

__all__ = [
    "EXECUTE",
    "FETCHED_KINDS",
    "LOOK",
    "Account",
    "Asker",
    "CallKeyReused",
    "CallNotFound",
    "CallState",
    "Ended",
    "Fetched",
    "FetchedKind",
    "GatewayObjectNotFound",
    "Outside",
    "Place",
    "ask",
    "check_account",
    "execution",
    "fetch_object",
    "look_again",
    "lookup",
    "open_link",
    "read_now",
    "tell_too",
    "waited",
]
