"""Which identity providers a business accepts tokens of, and what their holders may do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from bursar.kernel import audit, ids
from bursar.kernel.access import Giver, roles
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound
from bursar.kernel.hosts import Network
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.kernel.oidc.fetching import check_address

LEEWAY_S: Final = 60
LEEWAY_S_MAX: Final = 300
ISSUERS_MAX: Final = 20
PARTIES_MAX: Final = 50
ROLES_MAX: Final = 20
MAPPED_MAX: Final = 100
PATH_MAX: Final = 10

_COLUMNS = """i.id, i.issuer, i.audience, i.authorized_parties, i.algorithms, i.leeway_s, i.subject_claim, i.email_claim,
  i.name_claim, i.roles_claim, i.role_map, i.default_roles, i.created_at"""

ISSUERS = Listing(
    select=f"select {_COLUMNS} from identity_issuer i",
    tenant="i.tenant_id",
    key="i.id",
    always=("i.removed_at is null",),
)

_ISSUER = f"select {_COLUMNS} from identity_issuer i where i.tenant_id = $1 and i.id = $2 and i.removed_at is null"

_NAMED = f"""
select {_COLUMNS} from identity_issuer i where i.tenant_id = $1 and i.issuer = $2 and i.removed_at is null
order by i.audience nulls last, i.id limit {ISSUERS_MAX}
"""

# Asked by the engine, for a token that names no tenant: whose is it, if it is one's alone?
_WHOSE = """
select distinct i.tenant_id from identity_issuer i
where i.issuer = $1 and i.removed_at is null
  and (i.audience = any($2::text[]) or (i.audience is null and $3::text = any(i.authorized_parties)))
limit 2
"""

_ADD = f"""
insert into identity_issuer as i (tenant_id, id, issuer, audience, authorized_parties, algorithms, leeway_s, subject_claim,
  email_claim, name_claim, roles_claim, role_map, default_roles)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb, $13
where (select count(*) from identity_issuer where tenant_id = $1 and removed_at is null) < {ISSUERS_MAX}
returning {_COLUMNS}
"""

_REMOVE = """
update identity_issuer set removed_at = clock_timestamp() where tenant_id = $1 and id = $2 and removed_at is null
returning issuer, audience
"""


class IssuerNotFound(NotFound):
    """No identity issuer of this tenant has this id."""

    code = "identity_issuer_not_found"


class IssuerExists(Conflict):
    """The tenant accepts this issuer's tokens for this audience already."""

    code = "identity_issuer_exists"


class IssuersTooMany(LimitExceeded):
    """A tenant has at most twenty identity issuers."""

    code = "identity_issuers_too_many"
    status = 409


class AudienceMissing(Invalid):
    """Nothing says for whom the tokens are made, so that those made for others would be accepted."""

    code = "audience_missing"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a business reads an issuer's tokens.

    audience: what `aud` must hold; None where the issuer writes none, and then `authorized_parties` decides.
    authorized_parties: what `azp` may be; none: anything. roles_claim: names from the outside in. role_map: names of
    roles for a value of that claim. default_roles: of everybody this issuer knows.
    """

    issuer: str
    audience: str | None
    authorized_parties: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ("RS256",)
    leeway_s: int = LEEWAY_S
    subject_claim: str = "sub"
    email_claim: str = "email"
    name_claim: str = "name"
    roles_claim: tuple[str, ...] = ()
    role_map: Mapping[str, Sequence[str]] = field(default_factory=dict)
    default_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Issuer:
    """A configured issuer: its rules, under an id."""

    id: UUID
    rules: Rules
    created_at: datetime


async def add_issuer(
    tx: Transaction, *, tenant_id: UUID, rules: Rules, permitted: Sequence[Network], giver: Giver
) -> Issuer:
    """Accept an issuer's tokens. permitted: networks that are not public in which issuers may be.

    Raises IssuerAddressInvalid, AudienceMissing, IssuerExists, IssuersTooMany, RoleUnknown, MoreThanHeld.
    """
    check_address(rules.issuer, permitted)
    if rules.audience is None and not rules.authorized_parties:
        raise AudienceMissing(
            "nothing says for whom the tokens are made",
            hint="Pass audience; where the issuer writes none, pass authorized_parties.",
            fields=(FieldError("audience", "required", "or authorized_parties"),),
        )
    given = {*rules.default_roles, *(name for names in rules.role_map.values() for name in names)}
    await roles.require_givable(tx, tenant_id=tenant_id, names=given, giver=giver, field="role_map")
    try:
        row = await tx.fetchrow(_ADD, tenant_id, ids.new(), *_columns(rules))
    except asyncpg.UniqueViolationError as error:
        raise IssuerExists(
            "this issuer's tokens are accepted for this audience already", hint="Remove that one first."
        ) from error
    if row is None:
        raise IssuersTooMany(f"a tenant has at most {ISSUERS_MAX} identity issuers", hint="Remove one first.")
    added = _issuer(row)
    told = msgspec.to_builtins(rules)
    await _record(tx, tenant_id, added.id, giver=giver, action="identity_issuer.added", changes=told)
    return added


async def remove_issuer(tx: Transaction, *, tenant_id: UUID, issuer_id: UUID, giver: Giver) -> None:
    """Accept an issuer's tokens no longer. Raises IssuerNotFound."""
    row = await tx.fetchrow(_REMOVE, tenant_id, issuer_id)
    if row is None:
        raise _unknown(issuer_id)
    await _record(tx, tenant_id, issuer_id, giver=giver, action="identity_issuer.removed", changes=dict(row))


async def issuer(tx: Transaction, *, tenant_id: UUID, issuer_id: UUID) -> Issuer:
    """Return one issuer. Raises IssuerNotFound."""
    row = await tx.fetchrow(_ISSUER, tenant_id, issuer_id)
    if row is None:
        raise _unknown(issuer_id)
    return _issuer(row)


async def issuers(tx: Transaction, *, tenant_id: UUID, page: Slice) -> Part[Issuer]:
    """Return the tenant's issuers, newest first."""
    return await part(tx, ISSUERS, tenant_id=tenant_id, given={}, page=page, view=_issuer)


async def issuer_of_token(
    tx: Transaction, *, tenant_id: UUID, name: str, audiences: Sequence[str], party: str | None
) -> Issuer | None:
    """Return the issuer whose rules a token claims to meet: the one of its audience, else of its party; or None."""
    found = [_issuer(row) for row in await tx.fetch(_NAMED, tenant_id, name)]
    fitting = [one for one in found if _fits(one.rules, audiences, party)]
    return fitting[0] if fitting else None


async def tenant_of_token(db: Database, *, name: str, audiences: Sequence[str], party: str | None) -> UUID | None:
    """Return the tenant that alone accepts tokens of this issuer for this audience or party; None if none or several do."""
    async with db.engine() as tx:
        rows = await tx.fetch(_WHOSE, name, list(audiences), party)
    return rows[0]["tenant_id"] if len(rows) == 1 else None


def _fits(rules: Rules, audiences: Sequence[str], party: str | None) -> bool:
    return rules.audience in audiences if rules.audience is not None else party in rules.authorized_parties


def _columns(rules: Rules) -> tuple[Any, ...]:
    return (
        rules.issuer,
        rules.audience,
        list(rules.authorized_parties),
        list(rules.algorithms),
        rules.leeway_s,
        rules.subject_claim,
        rules.email_claim,
        rules.name_claim,
        list(rules.roles_claim),
        msgspec.json.encode(dict(rules.role_map)).decode(),
        list(rules.default_roles),
    )


def _issuer(row: Any) -> Issuer:
    rules = Rules(
        issuer=row["issuer"],
        audience=row["audience"],
        authorized_parties=tuple(row["authorized_parties"]),
        algorithms=tuple(row["algorithms"]),
        leeway_s=row["leeway_s"],
        subject_claim=row["subject_claim"],
        email_claim=row["email_claim"],
        name_claim=row["name_claim"],
        roles_claim=tuple(row["roles_claim"]),
        role_map=msgspec.json.decode(row["role_map"]),
        default_roles=tuple(row["default_roles"]),
    )
    return Issuer(row["id"], rules, row["created_at"])


async def _record(
    tx: Transaction, tenant_id: UUID, issuer_id: UUID, *, giver: Giver, action: str, changes: dict[str, Any]
) -> None:
    subject = ids.show(ids.ISSUER, issuer_id)
    await audit.record(tx, tenant_id=tenant_id, actor=giver.actor, action=action, subject=subject, changes=changes)


def _unknown(issuer_id: UUID) -> IssuerNotFound:
    shown = ids.show(ids.ISSUER, issuer_id)
    return IssuerNotFound(f"there is no identity issuer {shown}", hint="GET /v1/identity-issuers lists them.")
