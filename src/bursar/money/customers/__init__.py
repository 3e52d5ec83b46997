"""Customers: who pays. One row for each customer of a gateway account.

What it is not: an account to sign in with. Where the gateway names nobody, the e-mail address names the
customer (`email:…`), and where there is none either, the purchase does (`guest:…`).

Invariants:
- a gateway's customer is one row, however many reports name it;
- who is added by address is one row, however often at once;
- a deleted customer stays, with what was bought; what lies ahead of who is deleted or erased is ended by those who keep it.
"""

from bursar.money.customers.adding import CustomerErased, Found, customer_of_email, customers_of_email, find_or_add
from bursar.money.customers.directory import Directory, know_customers
from bursar.money.customers.leaving import Why, ending, have_ended
from bursar.money.customers.queries import Customer, CustomerNotFound, customer, customers, require_customer, unknown
from bursar.money.customers.standing import IS_GONE, CustomerNotAtGateway, is_named, name_at_gateway

__all__ = [
    "IS_GONE",
    "Customer",
    "CustomerErased",
    "CustomerNotAtGateway",
    "CustomerNotFound",
    "Directory",
    "Found",
    "Why",
    "customer",
    "customer_of_email",
    "customers",
    "customers_of_email",
    "ending",
    "find_or_add",
    "have_ended",
    "is_named",
    "know_customers",
    "name_at_gateway",
    "require_customer",
    "unknown",
]
