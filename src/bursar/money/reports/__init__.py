"""Reports: what payments and refunds come to, what became of checkouts and trials, and what is subscribed to.

What it is not: the books (`ledger` is), and no source of truth: every figure is what a query by hand over payments and
refunds would give, and can be made from them again.

Invariants:
- a sum is of one currency and of one kind of money: currencies are never added, nor play money to real money;
- a payment counts on the day on which it was made, in the business's zone, with the state it has now; one that gave way
  to its heir does not count;
- a share has four digits and is rounded half up;
- the tally of payments is exact at every commit, whatever order they are told in (`payments_are_tallied`);
- a checkout counts when it was started and a trial when it ends, each once in every sum over days, with what became of it by now
  (`conversion`, `trials` say what that is); the outcomes of a cohort add up to it;
- every report of days names its zone, its first and last day, and the instants at which they begin and end.
"""

from bursar.money.reports.conversion import checkout_conversion, checkouts_by_gateway
from bursar.money.reports.daily import daily_payments
from bursar.money.reports.plans import plan_mix
from bursar.money.reports.refunds import refund_report
from bursar.money.reports.schemas import CheckoutConversion, DailyPayments, PlanMix, RefundReport, TrialConversion
from bursar.money.reports.sheets import (
    conversion_sheet,
    daily_payments_sheet,
    plans_sheet,
    refunds_sheet,
    trials_sheet,
)
from bursar.money.reports.sold import MONTHS
from bursar.money.reports.tallies import rebuild_tallies
from bursar.money.reports.trials import trial_conversion, trials_by_gateway

__all__ = [
    "MONTHS",
    "CheckoutConversion",
    "DailyPayments",
    "PlanMix",
    "RefundReport",
    "TrialConversion",
    "checkout_conversion",
    "checkouts_by_gateway",
    "conversion_sheet",
    "daily_payments",
    "daily_payments_sheet",
    "plan_mix",
    "plans_sheet",
    "rebuild_tallies",
    "refund_report",
    "refunds_sheet",
    "trial_conversion",
    "trials_by_gateway",
    "trials_sheet",
]
