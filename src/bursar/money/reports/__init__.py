"""Reports: what payments and refunds come to, by day of the business, gateway and state.

What it is not: the books (`ledger` is), and no source of truth: every figure is what a query by hand over payments and
refunds would give, and can be made from them again.

Invariants:
- a sum is of one currency and of one kind of money: currencies are never added, nor play money to real money;
- a payment counts on the day on which it was made, in the business's zone, with the state it has now; one that gave way
  to its heir does not count;
- the tally of payments is exact at every commit, whatever order they are told in (`payments_are_tallied`);
- every report names its zone, its first and last day, and the instants at which they begin and end.
"""

from bursar.money.reports.daily import daily_payments
from bursar.money.reports.refunds import refund_report
from bursar.money.reports.schemas import DailyPayments, RefundReport
from bursar.money.reports.sheets import daily_payments_sheet, refunds_sheet
from bursar.money.reports.tallies import rebuild_tallies

__all__ = [
    "DailyPayments",
    "RefundReport",
    "daily_payments",
    "daily_payments_sheet",
    "rebuild_tallies",
    "refund_report",
    "refunds_sheet",
]
