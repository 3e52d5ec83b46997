"""Who may do what: the permissions there are, the roles that hold them, and the one place that decides.

A permission is `<what>:<read|write|…>`. A role is a set of permissions; a caller has the union of its roles' sets, and
an API key the scopes it was given. Nothing is allowed that is not named: a route without a permission cannot be made.
"""

from collections.abc import Iterable
from typing import Final

from bursar.kernel.errors import FieldError, Forbidden, Invalid

READS: Final = frozenset(
    {
        "alerts:read",
        "audit:read",
        "bookings:read",
        "catalog:read",
        "credits:read",
        "customers:read",
        "disputes:read",
        "events:read",
        "gateways:read",
        "invoices:read",
        "jobs:read",
        "ledger:read",
        "licences:read",
        "orders:read",
        "payments:read",
        "reconciliation:read",
        "refunds:read",
        "schedule:read",
        "security:read",
        "storefront:read",
        "subscriptions:read",
        "users:read",
    }
)
WRITES: Final = frozenset(
    {
        "bookings:override",
        "bookings:write",
        "alerts:write",
        "catalog:write",
        "credits:write",
        "customers:erase",
        "customers:write",
        "disputes:write",
        "events:replay",
        "gateways:write",
        "jobs:write",
        "keys:read",
        "keys:write",
        "licences:write",
        "orders:write",
        "payments:write",
        "reconciliation:write",
        "refunds:write",
        "schedule:write",
        "settings:write",
        "storefront:write",
        "subscriptions:write",
        "users:write",
    }
)
ALL: Final = READS | WRITES

_DAILY: Final = frozenset(
    {
        "bookings:read",
        "catalog:read",
        "credits:read",
        "customers:read",
        "invoices:read",
        "licences:read",
        "orders:read",
        "payments:read",
        "refunds:read",
        "schedule:read",
        "subscriptions:read",
    }
)
_BOOKINGS: Final = frozenset({"bookings:override", "bookings:write"})
_MONEY: Final = frozenset(
    {
        "disputes:write",
        "orders:write",
        "payments:write",
        "reconciliation:write",
        "refunds:write",
        "subscriptions:write",
    }
)

ROLES: Final = {
    "owner": ALL,
    "admin": ALL - {"customers:erase", "settings:write"},
    "finance": READS - {"security:read", "users:read"} | _MONEY | {"catalog:write", "credits:write"},
    "staff": _DAILY
    | _BOOKINGS
    | {"customers:write", "orders:write", "payments:write", "credits:write", "licences:write"},
    "support": _DAILY
    | {
        "alerts:read",
        "customers:write",
        "events:read",
        "events:replay",
        "disputes:read",
        "jobs:read",
        "licences:write",
    },
    "read-only": READS - {"audit:read", "security:read"},
}
"""The roles that every tenant has. A tenant's own roles are sets of permissions under names of its choice."""


class PermissionMissing(Forbidden):
    """The caller is known and may not do this."""

    code = "permission_missing"


class PermissionUnknown(Invalid):
    """There is no such permission."""

    code = "permission_unknown"


def require(held: frozenset[str], permission: str) -> None:
    """Return if the permission is held. Raises PermissionMissing."""
    if permission not in held:
        raise PermissionMissing(
            f"this needs the permission {permission}",
            hint="Ask whoever administers the business for a role or a key that has it.",
            context={"permission": permission},
        )


def permissions_named(names: Iterable[str], *, field: str = "permissions") -> frozenset[str]:
    """Return the permissions of these names. Raises PermissionUnknown. field: where the caller gave them."""
    given = frozenset(names)
    if unknown := sorted(given - ALL):
        raise PermissionUnknown(
            f"there is no permission {unknown[0][:64]}",
            hint=f"The permissions are: {', '.join(sorted(ALL))}.",
            fields=tuple(FieldError(field, "unknown_value", f"no permission {name[:64]}") for name in unknown[:20]),
        )
    return given
