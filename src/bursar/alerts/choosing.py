"""What holds in place of a rule's own numbers: chosen for the installation, or by a business for itself."""

from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from bursar.alerts.models import Rule, Severity
from bursar.alerts.rules import rule_named, rules_for
from bursar.kernel import audit
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.jobs import INSTALLATION

THRESHOLD_MAX: Final = 1e9
WINDOW_MIN_S: Final = 60
WINDOW_MAX_S: Final = 2_592_000
_PERCENT_MAX: Final = 100


class RuleChoiceInvalid(Invalid):
    """The numbers do not fit the rule."""

    code = "alert_rule_invalid"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen; None: as it is by default."""

    is_on: bool | None = None
    threshold: float | None = None
    window_s: int | None = None
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class ShownRule:
    """A rule with what was chosen, and the numbers that hold."""

    rule: Rule
    choice: Choice
    is_on: bool
    threshold: float
    window_s: int | None
    severity: Severity


_CHOSEN = "select rule, is_on, threshold, window_s, severity from alert_rule where tenant_id = $1"
_CHOICE = "select is_on, threshold, window_s, severity from alert_rule where tenant_id = $1 and rule = $2 for update"
_SET = """
insert into alert_rule (tenant_id, rule, is_on, threshold, window_s, severity) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, rule) do update
set is_on = excluded.is_on, threshold = excluded.threshold, window_s = excluded.window_s, severity = excluded.severity,
  changed_at = clock_timestamp()
"""
_UNSET = "delete from alert_rule where tenant_id = $1 and rule = $2"


async def rules_of(tx: Transaction, *, tenant_id: UUID) -> tuple[ShownRule, ...]:
    """Return the rules about a tenant (or the installation), with what it chose in place of the rules' own numbers."""
    chosen = {row["rule"]: Choice(*list(row.values())[1:]) for row in await tx.fetch(_CHOSEN, tenant_id)}
    return tuple(
        _shown(rule, chosen.get(rule.name, Choice())) for rule in rules_for(is_installation=tenant_id == INSTALLATION)
    ) + tuple(
        _shown(rule, chosen.get(rule.name, Choice()))
        for rule in rules_for(is_installation=False)
        if tenant_id == INSTALLATION and rule.about == "tenant"
    )


async def choose(tx: Transaction, *, tenant_id: UUID, name: str, choice: Choice, actor: str) -> ShownRule:
    """Let a rule hold so from now on; of what is None, as it is by default. Raises RuleUnknown, RuleChoiceInvalid.

    The installation's choice holds for every business that has none of its own.
    """
    rule = _editable(name, tenant_id)
    _check(rule, choice)
    row = await tx.fetchrow(_CHOICE, tenant_id, name)
    before = Choice(**dict(row)) if row else Choice()
    if choice == Choice():
        await tx.execute(_UNSET, tenant_id, name)
    else:
        await tx.execute(_SET, tenant_id, name, choice.is_on, choice.threshold, choice.window_s, choice.severity)
    if before != choice and tenant_id != INSTALLATION:
        changes = audit.changed(asdict(before), asdict(choice))
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="alert_rule.chosen",
            subject=None,
            changes={"rule": name, **changes},
        )
    return _shown(rule, choice)


def _editable(name: str, tenant_id: UUID) -> Rule:
    is_installation = tenant_id == INSTALLATION
    if is_installation and name in {rule.name for rule in rules_for(is_installation=False)}:
        return rule_named(name, is_installation=False)
    return rule_named(name, is_installation=is_installation)


def _check(rule: Rule, choice: Choice) -> None:
    threshold, window_s = choice.threshold, choice.window_s
    most = _PERCENT_MAX if rule.unit.startswith("%") else THRESHOLD_MAX
    # Written so that NaN is refused too.
    if threshold is not None and not 0 <= threshold <= most:
        raise _invalid("threshold", f"the threshold of {rule.name} is between 0 and {most:,.0f}")
    if window_s is not None and rule.window_s is None:
        raise _invalid("window_s", f"{rule.name} looks at the present state and has no window")
    if window_s is not None and not WINDOW_MIN_S <= window_s <= WINDOW_MAX_S:
        raise _invalid("window_s", f"a window is between {WINDOW_MIN_S} and {WINDOW_MAX_S:,} seconds")


def _invalid(field: str, what: str) -> RuleChoiceInvalid:
    return RuleChoiceInvalid(
        what, hint="Correct it, or leave it out for the rule's own.", fields=(FieldError(field, "out_of_range", what),)
    )


def _shown(rule: Rule, choice: Choice) -> ShownRule:
    return ShownRule(
        rule,
        choice,
        rule.is_on if choice.is_on is None else choice.is_on,
        rule.threshold if choice.threshold is None else choice.threshold,
        rule.window_s if choice.window_s is None else choice.window_s,
        choice.severity or rule.severity,
    )
