"""The catalogue: products, their prices, and what a price grants.

What it is: the only place that says what money buys. What it is not: it never sees a payment.

Invariants:
- the terms of a price (amount, currency, interval, grants) never change; new terms are a new price;
- a gateway reference names one price within its gateway account; a lookup key one price within the tenant.
"""

from bursar.money.catalog.prices import Catalogue, Interval, Price, catalogue_for

__all__ = ["Catalogue", "Interval", "Price", "catalogue_for"]
