"""Policies of a business: made, changed, listed, one of them the default."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking.policies.terms import Terms, terms_read
from bursar.apps.booking.schedule.refusals import PolicyNotFound
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, LimitExceeded

_POLICIES_MAX: Final = 200


class PolicyInUse(Conflict):
    """Classes are still given under the policy."""

    code = "booking_policy_in_use"


class PoliciesTooMany(LimitExceeded):
    """The business has as many booking policies as it may have."""

    code = "booking_policies_too_many"
    status = 409


@dataclass(frozen=True, slots=True)
class Policy:
    """Terms under a name. version: counts the changes."""

    id: UUID
    name: str
    is_default: bool
    terms: Terms
    version: int
    created_at: datetime


_COLUMNS: Final = "id, name, is_default, terms::text as terms, version, created_at"
_ONE = f"select {_COLUMNS} from booking_policy where tenant_id = $1 and id = $2 and deleted_at is null"
_LOCKED = f"{_ONE} for update"
_ALL = f"""
select {_COLUMNS} from booking_policy where tenant_id = $1 and deleted_at is null
order by is_default desc, id limit {_POLICIES_MAX}
"""
_TERMS = "select terms::text from booking_policy where tenant_id = $1 and id = $2"
_DEFAULT = "select terms::text from booking_policy where tenant_id = $1 and is_default and deleted_at is null"
_COUNT = "select count(*) from booking_policy where tenant_id = $1 and deleted_at is null"

_ADD = """
insert into booking_policy (tenant_id, id, name, is_default, terms) values ($1, $2, $3, $4, $5::text::jsonb)
"""

_UNDEFAULT = """
update booking_policy set is_default = false, version = version + 1
where tenant_id = $1 and is_default and id <> $2 and deleted_at is null
"""

_CHANGE = """
update booking_policy set name = $3, is_default = $4, terms = $5::text::jsonb, version = version + 1
where tenant_id = $1 and id = $2
"""

_DELETE = "update booking_policy set deleted_at = $3, is_default = false where tenant_id = $1 and id = $2"

_IN_USE = """
select (select count(*) from class_template where tenant_id = $1 and policy_id = $2 and deleted_at is null)
  + (select count(*) from class_instance where tenant_id = $1 and policy_id = $2 and starts_at > $3 and status = 'scheduled')
"""

# Policies of a business change one at a time, so that two new defaults queue up instead of meeting at the index.
_QUEUE = "select 1 from tenant where tenant_id = $1 for no key update"


async def terms_for(tx: Transaction, *, tenant_id: UUID, policy_id: UUID | None) -> Terms:
    """Return the terms of a policy, of the default one for None, or those of `Terms()` where there is none.

    A policy that was deleted is still the one of the classes that name it.
    """
    told = await tx.fetchval(_TERMS, tenant_id, policy_id) if policy_id else None
    told = told or await tx.fetchval(_DEFAULT, tenant_id)
    return terms_read(told) if told else Terms()


async def policy_of(tx: Transaction, *, tenant_id: UUID, policy_id: UUID) -> Policy:
    """Return one policy. Raises PolicyNotFound."""
    return _of(await tx.fetchrow(_ONE, tenant_id, policy_id), policy_id)


async def policies_of(tx: Transaction, *, tenant_id: UUID) -> tuple[Policy, ...]:
    """Return every policy of a business, the default first."""
    return tuple(_of(row, row["id"]) for row in await tx.fetch(_ALL, tenant_id))


async def create_policy(
    tx: Transaction, *, tenant_id: UUID, name: str, terms: Terms, is_default: bool, actor: str
) -> Policy:
    """Add a policy. Raises PoliciesTooMany."""
    await tx.fetchval(_QUEUE, tenant_id)
    if await tx.fetchval(_COUNT, tenant_id) >= _POLICIES_MAX:
        raise PoliciesTooMany(f"there are {_POLICIES_MAX} policies", hint="Delete one that no class uses.")
    policy_id = ids.new()
    if is_default:
        await tx.execute(_UNDEFAULT, tenant_id, policy_id)
    await tx.execute(_ADD, tenant_id, policy_id, name, is_default, terms.canonical())
    after = await policy_of(tx, tenant_id=tenant_id, policy_id=policy_id)
    await _record(tx, tenant_id, after, actor=actor, action="booking_policy.created", changes=_told(after))
    return after


async def change_policy(
    tx: Transaction, *, tenant_id: UUID, policy_id: UUID, name: str, terms: Terms, is_default: bool, actor: str
) -> Policy:
    """Change a policy for bookings made from now on. Raises PolicyNotFound."""
    await tx.fetchval(_QUEUE, tenant_id)
    before = _of(await tx.fetchrow(_LOCKED, tenant_id, policy_id), policy_id)
    if (before.name, before.is_default, before.terms) == (name, is_default, terms):
        return before
    if is_default:
        await tx.execute(_UNDEFAULT, tenant_id, policy_id)
    await tx.execute(_CHANGE, tenant_id, policy_id, name, is_default, terms.canonical())
    after = await policy_of(tx, tenant_id=tenant_id, policy_id=policy_id)
    changes = audit.changed(_told(before), _told(after))
    await _record(tx, tenant_id, after, actor=actor, action="booking_policy.changed", changes=changes)
    return after


async def delete_policy(tx: Transaction, *, tenant_id: UUID, policy_id: UUID, actor: str, now: datetime) -> None:
    """Let a policy be no more for new classes. Raises PolicyNotFound, PolicyInUse."""
    await tx.fetchval(_QUEUE, tenant_id)
    before = _of(await tx.fetchrow(_LOCKED, tenant_id, policy_id), policy_id)
    if users := await tx.fetchval(_IN_USE, tenant_id, policy_id, now):
        raise PolicyInUse(
            f"{users} templates and coming classes are under this policy",
            hint="Give them another policy first.",
            context={"in_use": users},
        )
    await tx.execute(_DELETE, tenant_id, policy_id, now)
    await _record(tx, tenant_id, before, actor=actor, action="booking_policy.deleted", changes={"name": before.name})


async def _record(
    tx: Transaction, tenant_id: UUID, policy: Policy, *, actor: str, action: str, changes: dict[str, Any]
) -> None:
    shown = ids.show(ids.BOOKING_POLICY, policy.id)
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=action, subject=shown, changes=changes)


def _told(policy: Policy) -> dict[str, Any]:
    terms: dict[str, Any] = msgspec.json.decode(policy.terms.canonical())
    return {"name": policy.name, "is_default": policy.is_default} | terms


def _of(row: Any, policy_id: UUID) -> Policy:
    if row is None:
        raise PolicyNotFound(
            f"there is no booking policy {ids.show(ids.BOOKING_POLICY, policy_id)}",
            hint="See GET /v1/booking-policies.",
        )
    return Policy(**dict(row) | {"terms": terms_read(row["terms"])})
