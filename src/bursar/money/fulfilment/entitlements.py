"""Entitlements: features, quotas and licences that a customer has, and for how long."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError
from bursar.money.fulfilment.durations import after, parse_duration
from bursar.money.fulfilment.fulfillers import SpecInvalid
from bursar.money.fulfilment.grants import Change, Target, share_taken
from bursar.money.fulfilment.licences import issue_licences

_KEY = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_AMOUNT_MAX = 10**12
"""Times the largest quantity it is still a bigint."""
_ACTIVATIONS_MAX = 1_000_000

_UPSERT = """
insert into entitlement (tenant_id, id, grant_id, customer_id, kind, key, amount_max, per, status, starts_at, ends_at)
select $1, id, grant_id, customer_id, kind, key, amount_max, per, status, starts_at, ends_at
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[])
  as new (id, grant_id, customer_id, kind, key, amount_max, per, status, starts_at, ends_at)
on conflict (tenant_id, grant_id) do update
set customer_id = excluded.customer_id, amount_max = excluded.amount_max, status = excluded.status,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at
"""


class _Entitlement:
    """What the three kinds share: one row for each grant."""

    kind: str
    is_standing = True
    key_field: str
    fields: frozenset[str]

    def checked(self, spec: dict[str, Any]) -> dict[str, Any]:
        if unknown := spec.keys() - self.fields - {self.key_field, "expires_after"}:
            raise _refused(min(unknown), f"{self.kind} does not take this field")
        key = spec.get(self.key_field)
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise _refused(self.key_field, "a name of 1 to 128 characters")
        for name in ("expires_after", "per"):
            if spec.get(name) is not None:
                try:
                    parse_duration(str(spec[name]))
                except ValueError as error:
                    raise _refused(name, str(error)) from error
        return {name: value for name, value in spec.items() if value is not None}

    def amount_max(self, target: Target) -> int | None:
        raise NotImplementedError

    async def deliver(self, tx: Transaction, *, tenant_id: UUID, changes: Sequence[Change], now: datetime) -> None:  # noqa: ARG002
        targets = [change.target for change in changes]
        await tx.execute(
            _UPSERT,
            tenant_id,
            [ids.new() for _ in changes],
            [change.grant.id for change in changes],
            [t.customer_id for t in targets],
            [self.kind for _ in targets],
            [t.spec[self.key_field] for t in targets],
            [self.amount_max(t) for t in targets],
            [t.spec.get("per") for t in targets],
            [t.status.value for t in targets],
            [t.starts_at for t in targets],
            [_ends_at(t) for t in targets],
        )


class Features(_Entitlement):
    """Delivers `{"kind": "feature", "feature": name, "limit": n, "per": "P1D"}`; without a limit it is unlimited."""

    kind = "feature"
    key_field = "feature"
    fields = frozenset({"limit", "per"})

    def checked(self, spec: dict[str, Any]) -> dict[str, Any]:
        _whole(spec, "limit", required=False, most=_AMOUNT_MAX)
        return super().checked(spec)

    def amount_max(self, target: Target) -> int | None:
        limit = target.spec.get("limit")
        return None if limit is None else int(limit) * target.quantity


class Quotas(_Entitlement):
    """Delivers `{"kind": "quota", "meter": name, "amount": n}`: n × quantity, less the share that was returned."""

    kind = "quota"
    key_field = "meter"
    fields = frozenset({"amount", "per"})

    def checked(self, spec: dict[str, Any]) -> dict[str, Any]:
        _whole(spec, "amount", required=True, most=_AMOUNT_MAX)
        return super().checked(spec)

    def amount_max(self, target: Target) -> int | None:
        granted = int(target.spec["amount"]) * target.quantity
        return granted - share_taken(granted, target)


class Licences(_Entitlement):
    """Delivers `{"kind": "licence", "course": name, "activations": n}`: an entitlement and a key, in one transaction."""

    kind = "licence"
    key_field = "course"
    fields = frozenset({"activations"})

    def checked(self, spec: dict[str, Any]) -> dict[str, Any]:
        _whole(spec, "activations", required=False, most=_ACTIVATIONS_MAX)
        return super().checked(spec)

    def amount_max(self, target: Target) -> int | None:
        activations = target.spec.get("activations")
        return None if activations is None else int(activations) * target.quantity

    async def deliver(self, tx: Transaction, *, tenant_id: UUID, changes: Sequence[Change], now: datetime) -> None:
        await super().deliver(tx, tenant_id=tenant_id, changes=changes, now=now)
        await issue_licences(tx, tenant_id=tenant_id, grants=[change.grant.id for change in changes])


def _ends_at(target: Target) -> datetime | None:
    """A grant with a term of its own ends at the earlier of that and its subscription's end."""
    ends = [end for end in (target.ends_at, after(target.starts_at, target.spec.get("expires_after"))) if end]
    return min(ends, default=None)


def _whole(spec: dict[str, Any], name: str, *, required: bool, most: int) -> None:
    value = spec.get(name)
    if value is None and not required:
        return
    if type(value) is not int or not 1 <= value <= most:
        raise _refused(name, f"a whole number from 1 to {most}")


def _refused(field: str, message: str) -> SpecInvalid:
    return SpecInvalid(f"{field}: {message}", fields=(FieldError(field, "invalid", message),))
