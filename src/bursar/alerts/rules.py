"""Every rule there is, with its default numbers and what to do about it."""

from typing import Final

from bursar.alerts import measures, sources
from bursar.alerts.models import Rule
from bursar.kernel import ids
from bursar.kernel.errors import NotFound

_HOUR: Final = 3600
_DAY: Final = 86_400


class RuleUnknown(NotFound):
    """There is no such rule, or it is not about this tenant."""

    code = "alert_rule_unknown"


RULES: Final = (
    Rule(
        "payment_failures",
        "Payments fail",
        "tenant",
        "critical",
        15,
        "%",
        _HOUR,
        "Look at the newest failed payments: one failure code points at the gateway or the account, many different ones at the cards. "
        "Nothing is lost; customers may pay again.",
        sources.PAYMENT_FAILURES,
        kind=ids.GATEWAY_ACCOUNT,
    ),
    Rule(
        "webhook_failures",
        "Gateway events could not be applied",
        "tenant",
        "critical",
        0,
        "events",
        None,
        "Open Dead letters: the error says what the event lacks. Mend the cause (often a price that the catalogue does not know), then replay them.",
        sources.WEBHOOK_FAILURES,
        kind=ids.GATEWAY_ACCOUNT,
    ),
    Rule(
        "deliveries_refused",
        "Deliveries with a wrong signature",
        "tenant",
        "high",
        20,
        "deliveries",
        _HOUR,
        "The signing secret differs from the gateway's, or somebody guesses. Compare the secret in the gateway's dashboard with the account's, and rotate it.",
        sources.DELIVERIES_REFUSED,
    ),
    Rule(
        "unmatched_money",
        "Money that names nothing we sell",
        "tenant",
        "high",
        0,
        "payments",
        900,
        "Open Unmatched: assign each to a customer and a price, or add the price that its gateway reference names.",
        sources.UNMATCHED_MONEY,
        kind=ids.GATEWAY_ACCOUNT,
    ),
    Rule(
        "unknown_calls",
        "Calls to a gateway whose outcome nobody knows",
        "tenant",
        "high",
        0,
        "calls",
        None,
        "Never repeat them by hand. Let each be looked for at the gateway (POST /v1/gateway-calls/{gateway_call}/looks), and settle what is found.",
        sources.UNKNOWN_CALLS,
        kind=ids.GATEWAY_ACCOUNT,
    ),
    Rule(
        "unfinished_sagas",
        "Several steps that a person has to finish",
        "tenant",
        "high",
        0,
        "sagas",
        None,
        "Open Unfinished: each says what was done, what was not, and what to do by hand.",
        sources.UNFINISHED_SAGAS,
    ),
    Rule(
        "broken_invariant",
        "A broken invariant",
        "tenant",
        "critical",
        0,
        "rows",
        None,
        "This is a bug or a hand in the database: do not repair rows. Open Checks, keep what it shows, and run bursar verify.",
        sources.BROKEN_INVARIANT,
    ),
    Rule(
        "disputes_due",
        "Disputes that must be answered soon",
        "tenant",
        "high",
        0,
        "disputes",
        3 * _DAY,
        "Open Disputes and answer or accept them. Without an answer by their day the money is lost.",
        sources.DISPUTES_DUE,
    ),
    Rule(
        "circuit_open",
        "Calls to the outside do not go through",
        "both",
        "high",
        0,
        "circuits",
        300,
        "Look at the gateway's status page and at the account's credentials. Nothing is lost: what is to be done waits, and the circuit closes by itself.",
        sources.CIRCUIT_OPEN,
    ),
    Rule(
        "dead_jobs",
        "Jobs were given up",
        "both",
        "high",
        0,
        "jobs",
        None,
        "Open Jobs (of the installation: bursar jobs list --state dead): the error says why. Mend the cause, then replay them.",
        sources.DEAD_JOBS,
    ),
    Rule(
        "channel_failing",
        "A channel of notices does not work",
        "both",
        "high",
        2,
        "failures in a row",
        None,
        "Send a test notice. Mend the address or the service behind it; until then notices go the second way of their route, if it has one.",
        sources.CHANNEL_FAILING,
        kind=ids.ALERT_CHANNEL,
    ),
    Rule(
        "database_down",
        "The database does not answer",
        "installation",
        "critical",
        15,
        "s",
        None,
        "See whether PostgreSQL runs and whether its disk is full (bursar doctor). Gateways deliver again; nothing that was acknowledged is lost.",
        None,
    ),
    Rule(
        "books_broken",
        "Businesses with a broken invariant",
        "installation",
        "critical",
        0,
        "businesses",
        None,
        "This is a bug or a hand in the database: do not repair rows. Run bursar verify, keep what it shows, and stop what changes the rows named.",
        sources.BOOKS_BROKEN,
    ),
    Rule(
        "events_waiting",
        "Gateway events wait too long",
        "installation",
        "high",
        120,
        "s",
        None,
        "See that bursar worker runs and what it logs. Events are stored and lose nothing by waiting; what was paid for is late.",
        sources.EVENTS_WAITING,
    ),
    Rule(
        "jobs_waiting",
        "Jobs wait too long",
        "installation",
        "high",
        600,
        "s",
        None,
        "See that bursar worker runs, and whether a kind of job takes all hands (bursar jobs counts). Start more workers if they keep up no longer.",
        sources.JOBS_WAITING,
    ),
    Rule(
        "error_rate",
        "The API answers with errors",
        "installation",
        "high",
        5,
        "%",
        300,
        "Look for page_failed and request_failed in the API's log, by correlation id. After an upgrade: go back to the release before.",
        sources.ERROR_RATE,
    ),
    Rule(
        "slow_answers",
        "The API answers slowly",
        "installation",
        "medium",
        5,
        "% over a second",
        300,
        "See what the database does (bursar doctor; pg_stat_activity), whether its disk is busy, and whether a tenant asks for more than before.",
        sources.SLOW_ANSWERS,
    ),
    Rule(
        "audit_unsealed",
        "Audit records wait for their seal",
        "installation",
        "medium",
        300,
        "s",
        None,
        "See that bursar worker runs; a transaction left open anywhere on the server holds it back (pg_stat_activity).",
        sources.AUDIT_UNSEALED,
    ),
    Rule(
        "not_reconciled",
        "Accounts were not compared with their gateways",
        "installation",
        "medium",
        0,
        "accounts",
        None,
        "Run bursar reconcile, and see the page Reconciliation for what stopped the last run: most often a key that the gateway refuses.",
        measures.not_reconciled,
    ),
    Rule(
        "backup_failed",
        "A backup failed",
        "installation",
        "critical",
        0,
        "failures",
        None,
        "Read what failed with bursar doctor. Make room in the store or mend its credentials, then: bursar backup now.",
        sources.BACKUP_FAILED,
    ),
    Rule(
        "backup_damaged",
        "A backup is damaged",
        "installation",
        "critical",
        0,
        "backups",
        None,
        "Take another one now: bursar backup now. Then find out what changed or shortened the files in the store, before it is the next one. "
        "It is over when bursar backup verify --all finds everything whole.",
        sources.BACKUP_DAMAGED,
    ),
    Rule(
        "drill_failed",
        "A drill failed",
        "installation",
        "critical",
        0,
        "drills",
        None,
        "What it found stands in the operators' page Backups. Until a drill passes nobody knows whether a disaster can be survived: mend it, then bursar drill.",
        sources.DRILL_FAILED,
    ),
    Rule(
        "backups_overdue",
        "Backups or drills are late",
        "installation",
        "critical",
        0,
        "backups",
        None,
        "See that the backups process of bursar up runs and what it logs, then: bursar backup now. Until then a disaster costs more than it should.",
        measures.backups_overdue,
    ),
    Rule(
        "part_unwell",
        "A part of the installation is not well",
        "installation",
        "high",
        0,
        "parts",
        None,
        "Open Health in the operators' pages, or run bursar doctor: each part says what to do.",
        measures.parts_unwell,
    ),
    Rule(
        "disk_low",
        "The disk is nearly full",
        "installation",
        "high",
        1,
        "GB free",
        None,
        "Make room: old logs and backups of others first, never files of PostgreSQL. A full disk stops the database.",
        measures.disk_free,
        is_below=True,
    ),
    Rule(
        "clock_jumped",
        "The clock jumped, or nobody watched",
        "installation",
        "medium",
        600,
        "s",
        None,
        "Run a time service on the database's machine. Or no worker ran: see when bursar up or bursar worker was started.",
        None,
    ),
    Rule(
        "rule_failed",
        "A rule cannot be looked at",
        "installation",
        "high",
        0,
        "rules",
        None,
        "What the rule watches is not watched now. The worker's log says why (alert_rule_failed); most often a statement that took too long.",
        None,
    ),
)
"""In the order in which pages show them."""

BY_NAME: Final = {rule.name: rule for rule in RULES}


def rule_named(name: str, *, is_installation: bool) -> Rule:
    """Return a rule that is about whoever asks. Raises RuleUnknown."""
    found = BY_NAME.get(name)
    if found is None or not is_for(found, is_installation=is_installation):
        raise RuleUnknown(f"there is no rule {name[:60]!r}", hint="GET /v1/alert-rules lists them.")
    return found


def is_for(rule: Rule, *, is_installation: bool) -> bool:
    """True where a rule is about whoever asks."""
    return rule.about in ("both", "installation" if is_installation else "tenant")


def rules_for(*, is_installation: bool) -> tuple[Rule, ...]:
    """Return the rules about the installation, or about a tenant."""
    return tuple(rule for rule in RULES if is_for(rule, is_installation=is_installation))
