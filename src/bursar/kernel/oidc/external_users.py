"""People whom an identity provider names: met when their first token comes, and deactivated here if they must not come."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.access import Giver
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.listing import Listing, Part, Slice, part

_SEEN_EVERY: Final = timedelta(minutes=1)

_COLUMNS = "u.id, u.issuer, u.subject, u.email, u.name, u.first_seen_at, u.last_seen_at, u.deactivated_at"

USERS = Listing(select=f"select {_COLUMNS} from external_user u", tenant="u.tenant_id", key="u.id")

_USER = f"select {_COLUMNS} from external_user u where u.tenant_id = $1 and u.id = $2"
_NAMED = f"select {_COLUMNS} from external_user u where u.tenant_id = $1 and u.issuer = $2 and u.subject = $3"

_MEET = f"""
insert into external_user as u (tenant_id, id, issuer, subject, email, name, first_seen_at, last_seen_at)
values ($1, $2, $3, $4, $5, $6, $7, $7)
on conflict (tenant_id, issuer, subject) do nothing
returning {_COLUMNS}
"""

_SEE = """
update external_user set email = $3, name = $4, last_seen_at = greatest(last_seen_at, $5)
where tenant_id = $1 and id = $2
"""

_DEACTIVATE = """
update external_user set deactivated_at = $3 where tenant_id = $1 and id = $2 and deactivated_at is null returning id
"""
_REACTIVATE = """
update external_user set deactivated_at = null
where tenant_id = $1 and id = $2 and deactivated_at is not null returning id
"""


class ExternalUserNotFound(NotFound):
    """No person of this id came to this tenant with a token."""

    code = "external_user_not_found"


@dataclass(frozen=True, slots=True)
class ExternalUser:
    """issuer, subject: who says so, and whom it names. email, name: as last told; nothing is decided by them."""

    id: UUID
    issuer: str
    subject: str
    email: str | None
    name: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    deactivated_at: datetime | None

    @property
    def status(self) -> Literal["active", "deactivated"]:
        return "deactivated" if self.deactivated_at else "active"


async def meet(
    tx: Transaction,
    *,
    tenant_id: UUID,
    issuer: str,
    subject: str,
    email: str | None,
    name: str | None,
    now: datetime,
) -> ExternalUser:
    """Return the person whom an issuer's genuine token names, who is new, or whose name and address may have changed."""
    row = await tx.fetchrow(_NAMED, tenant_id, issuer, subject)
    if row is None:
        row = await tx.fetchrow(_MEET, tenant_id, ids.new(), issuer, subject, email, name, now)
        if row is not None:
            user = _user(row)
            shown = ids.show(ids.USER, user.id)
            await audit.record(
                tx,
                tenant_id=tenant_id,
                actor=f"user:{shown}",
                action="external_user.first_seen",
                subject=shown,
                changes={"issuer": issuer},
            )
            return user
        row = await tx.fetchrow(_NAMED, tenant_id, issuer, subject)
    user = _user(row)
    is_changed = (user.email, user.name) != (email, name)
    if user.deactivated_at is None and (is_changed or now - user.last_seen_at >= _SEEN_EVERY):
        await tx.execute(_SEE, tenant_id, user.id, email, name, now)
    return user


async def deactivate(tx: Transaction, *, tenant_id: UUID, user_id: UUID, giver: Giver, now: datetime) -> ExternalUser:
    """Refuse a person's tokens from now on. Who is deactivated already stays so. Raises ExternalUserNotFound."""
    if await tx.fetchval(_DEACTIVATE, tenant_id, user_id, now):
        await _record(tx, tenant_id, user_id, giver, "external_user.deactivated")
    return await external_user(tx, tenant_id=tenant_id, user_id=user_id)


async def reactivate(tx: Transaction, *, tenant_id: UUID, user_id: UUID, giver: Giver) -> ExternalUser:
    """Accept a person's tokens again. Raises ExternalUserNotFound."""
    if await tx.fetchval(_REACTIVATE, tenant_id, user_id):
        await _record(tx, tenant_id, user_id, giver, "external_user.reactivated")
    return await external_user(tx, tenant_id=tenant_id, user_id=user_id)


async def external_user(tx: Transaction, *, tenant_id: UUID, user_id: UUID) -> ExternalUser:
    """Return one person. Raises ExternalUserNotFound."""
    row = await tx.fetchrow(_USER, tenant_id, user_id)
    if row is None:
        shown = ids.show(ids.USER, user_id)
        raise ExternalUserNotFound(f"there is no external user {shown}", hint="GET /v1/external-users lists them.")
    return _user(row)


async def external_users(tx: Transaction, *, tenant_id: UUID, page: Slice) -> Part[ExternalUser]:
    """Return the people who came with tokens, newest first."""
    return await part(tx, USERS, tenant_id=tenant_id, given={}, page=page, view=_user)


def _user(row: Any) -> ExternalUser:
    return ExternalUser(**{name: row[name] for name in ExternalUser.__dataclass_fields__})


async def _record(tx: Transaction, tenant_id: UUID, user_id: UUID, giver: Giver, action: str) -> None:
    subject = ids.show(ids.USER, user_id)
    await audit.record(tx, tenant_id=tenant_id, actor=giver.actor, action=action, subject=subject, changes={})
