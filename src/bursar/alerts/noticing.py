"""The job of one notice: sent by its channel, tried again, and passed on to the second way when the first is down."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from bursar.alerts.addresses import ChannelKind
from bursar.alerts.channels import sealing_purpose
from bursar.alerts.models import Severity, What
from bursar.alerts.rules import BY_NAME
from bursar.alerts.sending import Notice, NoticeNotSent, send, send_to_any
from bursar.alerts.telling import enqueue_notices
from bursar.kernel import ids
from bursar.kernel.circuits import Circuits, Refused
from bursar.kernel.db import Transaction
from bursar.kernel.jobs import GivenUp, Job, Postponed, Retry, Work

PASSED_ON_AFTER: Final = 3
"""Failures of a channel, of this notice or in a row, after which the second way is told."""
OPERATION: Final = "send_notice"
_FAILURE_MAX: Final = 300

_log = structlog.get_logger("bursar.alerts")

_NOTICE = """
select n.id, n.what, n.state, n.channel_id, n.channel, n.second_id, c.kind, c.url, c.is_on, c.failures_running,
  a.id as alert_id, a.rule, a.subject, a.severity, a.value, a.occurrences, a.detail, a.first_seen_at, left(t.name, 120) as whose
from alert_notice n
left join alert_channel c on c.tenant_id = n.tenant_id and c.id = n.channel_id
left join alert a on a.tenant_id = n.tenant_id and a.id = n.alert_id
left join tenant t on t.tenant_id = n.tenant_id
where n.tenant_id = $1 and n.id = $2
"""

_END = """
update alert_notice set state = $3, attempts = $4, failure = $5, ended_at = clock_timestamp()
where tenant_id = $1 and id = $2 and state = 'pending' returning id
"""
_TRIED = "update alert_notice set attempts = $3, failure = $4 where tenant_id = $1 and id = $2 and state = 'pending'"
_WORKS = """
update alert_channel set failures_running = 0, failure = null, failed_at = null, sent_at = clock_timestamp() where tenant_id = $1 and id = $2
"""
_FAILS = """
update alert_channel set failures_running = failures_running + 1, failure = $3, failed_at = clock_timestamp()
where tenant_id = $1 and id = $2 returning failures_running
"""
_HAS_SECOND = "select exists (select from alert_channel where tenant_id = $1 and id = $2 and is_on)"
_TO_SECOND = """
insert into alert_notice (tenant_id, id, alert_id, look, what, channel_id, channel, first_id, created_at)
select n.tenant_id, $3, n.alert_id, n.look, n.what, c.id, c.name, n.id, clock_timestamp()
from alert_notice n join alert_channel c on c.tenant_id = n.tenant_id and c.id = n.second_id and c.is_on
where n.tenant_id = $1 and n.id = $2
on conflict do nothing
returning id
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """A notice as its job finds it. channel_id: None: the settings' addresses. kind, url: None where the channel is gone."""

    id: UUID
    what: What
    state: str
    channel_id: UUID | None
    channel: str
    second_id: UUID | None
    kind: ChannelKind | None
    url: bytes | None
    is_on: bool | None
    failures_running: int | None
    alert_id: UUID | None
    rule: str | None
    subject: str | None
    severity: Severity | None
    value: float | None
    occurrences: int | None
    detail: str | None
    first_seen_at: datetime | None
    whose: str | None


async def send_notice(work: Work) -> None:
    """Send what the job's key names. It may be sent twice where a worker dies in between; it says which notice it is."""
    job, resources = work.job, work.resources
    notice_id = ids.parse(ids.ALERT_NOTICE, job.key)
    async with resources.db.tenant(job.tenant_id) as tx:
        row = await tx.fetchrow(_NOTICE, job.tenant_id, notice_id)
    if row is None or row["state"] != "pending":
        return
    pending = Pending(**dict(row))
    told = shown(pending, base=resources.settings.public_url)
    if pending.channel_id is None:
        await _by_settings(work, pending, told)
    elif not pending.is_on or pending.url is None or pending.kind is None:
        async with work.finish() as tx:
            await _end(tx, job, pending, "failed", "the channel is off or gone")
    else:
        await _by_channel(work, pending, told)


async def give_up(tx: Transaction, job: Job) -> None:
    """Write down that a notice was not sent, where its job is given up."""
    await tx.execute(
        _END,
        job.tenant_id,
        ids.parse(ids.ALERT_NOTICE, job.key),
        "failed",
        job.attempt,
        (job.error or "given up")[:_FAILURE_MAX],
    )


def shown(pending: Pending, *, base: str) -> Notice:
    """Return what is told. base: of the installation's pages."""
    whose = pending.whose or "the installation"
    place = "/operator/alerts" if pending.whose is None else "/alerts"
    if pending.alert_id is None or pending.rule is None:
        link = f"{base}{place}" if base else ""
        detail = "This is a test of the channel: nothing is wrong, and nothing is to be done."
        return Notice(
            ids.show(ids.ALERT_NOTICE, pending.id),
            "test",
            "",
            "",
            "a test notice",
            "low",
            "",
            whose,
            "",
            0,
            detail,
            "",
            "",
            link,
            "",
        )
    rule, alert = BY_NAME.get(pending.rule), ids.show(ids.ALERT, pending.alert_id)
    assert pending.severity is not None
    assert pending.first_seen_at is not None
    assert pending.subject is not None
    assert pending.value is not None
    return Notice(
        id=ids.show(ids.ALERT_NOTICE, pending.id),
        what=pending.what,
        alert=alert,
        rule=pending.rule,
        title=rule.title if rule else pending.rule,
        severity=pending.severity,
        subject=rule.shown_subject(pending.subject) if rule else pending.subject,
        whose=whose,
        value=rule.shown_value(pending.value) if rule else str(pending.value),
        occurrences=pending.occurrences or 0,
        detail=pending.detail or "",
        advice=rule.advice if rule else "",
        runbook=rule.runbook if rule else "",
        link=f"{base}{place}/{alert}" if base else "",
        first_seen_at=f"{pending.first_seen_at:%Y-%m-%d %H:%M} UTC",
    )


async def _by_settings(work: Work, pending: Pending, told: Notice) -> None:
    try:
        await send_to_any(work.resources.settings.alert_urls, told, settings=work.resources.settings)
    except NoticeNotSent as error:
        await _write_down(work, pending, error.message)
        raise Retry(error.message) from error
    async with work.finish() as tx:
        await _end(tx, work.job, pending, "sent", None)


async def _by_channel(work: Work, pending: Pending, told: Notice) -> None:
    assert pending.channel_id is not None
    assert pending.url is not None
    job, resources = work.job, work.resources
    circuits = Circuits(resources.db, resources.now)
    at = {
        "tenant_id": job.tenant_id,
        "subject": ids.show(ids.ALERT_CHANNEL, pending.channel_id),
        "operation": OPERATION,
    }
    admission = await circuits.ask(**at)  # type: ignore[arg-type]
    if isinstance(admission, Refused):
        if await _passed_on(work, pending, "the channel is down"):
            return
        raise Postponed("the channel is down", until=admission.until)
    url = resources.seal.open(bytes(pending.url), purpose=sealing_purpose(pending.channel_id))
    try:
        await send(pending.kind, url, told, settings=resources.settings)
    except NoticeNotSent as error:
        await circuits.failed(admission, why=error.message, **at)  # type: ignore[arg-type]
        await _failed(work, pending, error)
        return
    await circuits.passed(admission, **at)  # type: ignore[arg-type]
    async with work.finish() as tx:
        await _end(tx, job, pending, "sent", None)
        await tx.execute(_WORKS, job.tenant_id, pending.channel_id)


async def _failed(work: Work, pending: Pending, error: NoticeNotSent) -> None:
    """Count a failure; pass the notice on after some of them, or raise what tries it again."""
    job = work.job
    async with work.resources.db.tenant(job.tenant_id) as tx:
        running = await tx.fetchval(_FAILS, job.tenant_id, pending.channel_id, error.message[:_FAILURE_MAX])
    await _write_down(work, pending, error.message)
    is_down = error.is_final or job.attempt >= PASSED_ON_AFTER or (running or 0) >= PASSED_ON_AFTER
    if is_down and await _passed_on(work, pending, error.message):
        return
    if error.is_final:
        raise GivenUp(error.message) from error
    raise Retry(error.message) from error


async def _passed_on(work: Work, pending: Pending, why: str) -> bool:
    """Let the second way be told, and end this notice; False where there is none."""
    if pending.second_id is None:
        return False
    job, second = work.job, ids.new()
    async with work.resources.db.tenant(job.tenant_id) as tx:
        has_second = await tx.fetchval(_HAS_SECOND, job.tenant_id, pending.second_id)
    if not has_second:
        return False
    async with work.finish() as tx:
        await _end(tx, job, pending, "passed_on", why)
        if await tx.fetchval(_TO_SECOND, job.tenant_id, pending.id, second):
            await enqueue_notices(tx, [(job.tenant_id, second)])
    _log.warning("alert_notice_passed_on", notice=job.key, why=why)
    return True


async def _end(tx: Transaction, job: Job, pending: Pending, state: str, failure: str | None) -> None:
    await tx.execute(
        _END, job.tenant_id, pending.id, state, job.attempt, None if failure is None else failure[:_FAILURE_MAX]
    )


async def _write_down(work: Work, pending: Pending, failure: str) -> None:
    job = work.job
    async with work.resources.db.tenant(job.tenant_id) as tx:
        await tx.execute(_TRIED, job.tenant_id, pending.id, job.attempt, failure[:_FAILURE_MAX])
