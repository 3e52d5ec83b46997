"""The ledger: double-entry books of the money that moved.

What it is: accounts by name, transactions with a unique reference, entries that sum to zero per currency.
Debits are above zero, credits below. What it is not: it does not decide what moved; it is told the sums
that ought to stand and posts the difference.

Accounts: `gateway:<name>` (money the gateway holds for us), `sales`, `unmatched` (money that names
nothing we sell), `refunds`, `disputes`.

Invariants:
- nothing is ever edited: a correction is a further transaction of the same source;
- the entries of a transaction sum to zero per currency, refused by the database otherwise;
- a balance equals the sum of its entries.
"""

from bursar.money.ledger.postings import Cause, Posting, Source, post_differences

__all__ = ["Cause", "Posting", "Source", "post_differences"]
