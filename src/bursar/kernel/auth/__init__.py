"""Who calls, and what of it: the caller of a route, the permission that the route needs, the transaction it works in.

Invariants:
- a route without a declared permission cannot be made: denied by default;
- nothing of a stranger's body is read;
- a key is looked up as its own tenant, so that no look-up ever crosses tenants;
- unknown, wrong, expired and revoked keys, and those from elsewhere, get the same answer, and strangers in the same time;
- a revoked key stops working within two seconds; an expired one, and one from elsewhere, at once.
"""

from bursar.kernel.auth.keys import Keys
from bursar.kernel.auth.principal import Principal
from bursar.kernel.auth.routes import (
    OPERATORS,
    PUBLIC,
    SIGNED_IN,
    Caller,
    CallerOf,
    Policy,
    TenantRoute,
    for_operators,
    needs,
    policy_of,
    public,
    signed_in,
)

__all__ = [
    "OPERATORS",
    "PUBLIC",
    "SIGNED_IN",
    "Caller",
    "CallerOf",
    "Keys",
    "Policy",
    "Principal",
    "TenantRoute",
    "for_operators",
    "needs",
    "policy_of",
    "public",
    "signed_in",
]
