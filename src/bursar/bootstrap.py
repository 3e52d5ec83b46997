"""The one composition root: who delivers what, and who listens to what, in one readable list."""

from functools import cache

from bursar.money.fulfilment import Registry
from bursar.money.fulfilment.credits import Credits
from bursar.money.fulfilment.entitlements import Features, Licences, Quotas


@cache
def registry() -> Registry:
    """Return the fulfillers. An app adds its own line here."""
    return Registry([Credits(), Features(), Quotas(), Licences()])
