"""What a business changed of the rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from bursar.apps.booking.rules.catalogue import BY_ID, CATALOGUE
from bursar.apps.booking.rules.models import Rule, Settings, Value
from bursar.apps.booking.rules.situations import settings_read
from bursar.kernel import audit
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid, NotFound


class RuleUnknown(NotFound):
    """The catalogue has no such rule."""

    code = "booking_rule_not_found"


class RuleNotSwitchable(Invalid):
    """The rule belongs to what a booking is, and cannot be turned off."""

    code = "booking_rule_not_switchable"


class RuleParameterInvalid(Invalid):
    """A parameter is none of the rule's, or beyond its bounds."""

    code = "booking_rule_parameter_invalid"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A rule as a business has it."""

    rule: Rule
    is_on: bool
    values: Mapping[str, Value]


_ALL = """
select jsonb_object_agg(rule, jsonb_build_array(is_on, parameters))::text from booking_rule where tenant_id = $1
"""

_LOCK = "select 1 from booking_rule where tenant_id = $1 and rule = $2 for update"

_SET = """
insert into booking_rule (tenant_id, rule, is_on, parameters) values ($1, $2, $3, $4::text::jsonb)
on conflict (tenant_id, rule) do update
set is_on = excluded.is_on, parameters = excluded.parameters, changed_at = clock_timestamp()
"""


async def settings_of(tx: Transaction, *, tenant_id: UUID) -> Settings:
    """Return the rules as a business has them."""
    return settings_read(await tx.fetchval(_ALL, tenant_id))


def number_of(settings: Settings, rule_id: str, name: str) -> int:
    """Return a number that a business chose for a rule, or the usual."""
    return int(settings.values(BY_ID[rule_id])[name])


def is_chosen(settings: Settings, rule_id: str, name: str) -> bool:
    """Return a yes or no that a business chose for a rule, or the usual."""
    return bool(settings.values(BY_ID[rule_id])[name])


def holds(settings: Settings, rule_id: str) -> bool:
    """True where a rule holds in a business."""
    return settings.is_on(BY_ID[rule_id])


async def rules_of(tx: Transaction, *, tenant_id: UUID) -> tuple[Chosen, ...]:
    """Return every rule of the catalogue as a business has it."""
    settings = await settings_of(tx, tenant_id=tenant_id)
    return tuple(_chosen(rule, settings) for rule in CATALOGUE)


async def set_rule(
    tx: Transaction, *, tenant_id: UUID, rule_id: str, is_on: bool, values: Mapping[str, Any], actor: str
) -> Chosen:
    """Let a rule hold so from now on; what is left out of `values` is as by default.

    Raises RuleUnknown, RuleNotSwitchable, RuleParameterInvalid.
    """
    rule = BY_ID.get(rule_id)
    if rule is None:
        raise RuleUnknown(f"there is no rule {rule_id[:64]!r}", hint="See GET /v1/booking-rules.")
    if is_on != rule.is_on and not rule.is_switchable:
        raise RuleNotSwitchable(
            f"{rule.id} always holds", hint="Change its parameters, if it has any, and leave it on."
        )
    chosen = {p.name: p.default for p in rule.parameters} | _checked(rule, values)
    await tx.fetchval(_LOCK, tenant_id, rule.id)
    before = _chosen(rule, await settings_of(tx, tenant_id=tenant_id))
    if (before.is_on, before.values) != (is_on, chosen):
        told = msgspec.json.encode(chosen, order="sorted").decode()
        await tx.execute(_SET, tenant_id, rule.id, is_on, told)
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="booking_rule.changed",
            subject=rule.id,
            changes=audit.changed({"is_on": before.is_on} | dict(before.values), {"is_on": is_on} | chosen),
        )
    return Chosen(rule, is_on, chosen)


def _checked(rule: Rule, values: Mapping[str, Any]) -> dict[str, Value]:
    known = {p.name: p for p in rule.parameters}
    wrong = [
        FieldError(
            f"parameters.{name}", "invalid", known[name].told if name in known else f"{rule.id} has no such parameter"
        )
        for name, value in values.items()
        if name not in known or not known[name].accepts(value)
    ]
    if wrong:
        first = wrong[0]
        takes = "; ".join(f"{p.name}: {p.told}" for p in rule.parameters) or "none"
        raise RuleParameterInvalid(
            f"{first.field}: {first.message}", hint=f"The parameters of {rule.id} are: {takes}.", fields=tuple(wrong)
        )
    return dict(values)


def _chosen(rule: Rule, settings: Settings) -> Chosen:
    return Chosen(rule, settings.is_on(rule), settings.values(rule))
