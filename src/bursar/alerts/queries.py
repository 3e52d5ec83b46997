"""Reads of alerts: lists, and one with its history and notices."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.alerts.acting import AlertNotFound
from bursar.alerts.models import AlertState, Severity, What
from bursar.alerts.rules import BY_NAME
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.http.inputs import PublicId
from bursar.kernel.http.views import View
from bursar.kernel.listing import Listing, Part, Slice, part

HISTORY_SHOWN: Final = 100
AlertId = Annotated[UUID, PublicId(ids.ALERT)]
NoticeId = Annotated[UUID, PublicId(ids.ALERT_NOTICE)]


class AlertView(View):
    """One thing that is wrong, or was."""

    id: AlertId
    rule: str = Field(examples=["payment_failures"])
    title: str = Field(examples=["Payments fail"])
    subject: str = Field(description="What it is about.", examples=["gwa_01kapj5m6rfq1v5wx6h0b1a2c3"])
    severity: Severity
    state: AlertState = Field(
        description="acknowledged: somebody works on it, and it is not told again unless it grows."
    )
    value: float = Field(description="As last measured.")
    unit: str = Field(examples=["%"])
    occurrences: int = Field(description="Failures since it began; of what cannot be counted, looks that found it.")
    detail: str
    advice: str = Field(description="What to do.")
    runbook: str = Field(examples=["docs/how-to/runbooks.md#payment-failures"])
    first_seen_at: datetime
    last_seen_at: datetime
    came_back: int = Field(description="How often it was seen again soon after it had been resolved.")
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    silenced_by: str | None
    silenced_until: datetime | None
    resolved_at: datetime | None


class HistoryEntry(View):
    """Something that became of an alert. actor: null: the watch itself."""

    what: Literal["opened", "came_back", "reminded", "resolved", "acknowledged", "silenced", "unsilenced"]
    actor: str | None
    detail: str
    at: datetime


class NoticeView(View):
    """One telling, by one channel."""

    id: NoticeId
    what: What
    channel: str
    state: Literal["pending", "sent", "failed", "passed_on"] = Field(
        description="passed_on: the channel was down, and the second one was told."
    )
    attempts: int
    failure: str | None
    created_at: datetime
    ended_at: datetime | None


class AlertStory(AlertView):
    """An alert with what became of it, newest first."""

    history: list[HistoryEntry]
    notices: list[NoticeView]


_COLUMNS = """a.id, a.rule, a.subject, a.severity, a.state, a.value, a.occurrences, a.detail, a.first_seen_at, a.last_seen_at, a.came_back,
  a.acknowledged_by, a.acknowledged_at, a.silenced_by, a.silenced_until, a.resolved_at"""

ALERTS = Listing(
    select=f"select {_COLUMNS} from alert a",
    tenant="a.tenant_id",
    key="a.id",
    filters={"state": "a.state = {}", "rule": "a.rule = {}", "severity": "a.severity = {}"},
)

_ONE = f"select {_COLUMNS} from alert a where a.tenant_id = $1 and a.id = $2"
_HISTORY = f"""
select what, actor, detail, at from alert_history where tenant_id = $1 and alert_id = $2 order by id desc limit {HISTORY_SHOWN}
"""
_NOTICES = f"""
select id, what, channel, state, attempts, failure, created_at, ended_at from alert_notice
where tenant_id = $1 and alert_id = $2 order by id desc limit {HISTORY_SHOWN}
"""


async def alerts(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[AlertView]:
    """Return alerts, newest first. given: any of `state`, `rule`, `severity`."""
    return await part(tx, ALERTS, tenant_id=tenant_id, given=given, page=page, view=_view)


async def alert_story(tx: Transaction, *, tenant_id: UUID, alert_id: UUID) -> AlertStory:
    """Return one alert with its history. Raises AlertNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, alert_id)
    if row is None:
        raise AlertNotFound(f"there is no alert {ids.show(ids.ALERT, alert_id)}")
    return AlertStory.model_validate(
        {
            **_told(row),
            "history": [dict(r) for r in await tx.fetch(_HISTORY, tenant_id, alert_id)],
            "notices": [dict(r) for r in await tx.fetch(_NOTICES, tenant_id, alert_id)],
        }
    )


def _view(row: Any) -> AlertView:
    return AlertView.model_validate(_told(row))


def _told(row: Any) -> dict[str, Any]:
    rule = BY_NAME.get(row["rule"])
    said = dict(row)
    return said | {
        "title": rule.title if rule else row["rule"],
        "subject": rule.shown_subject(row["subject"]) if rule else row["subject"],
        "unit": rule.unit if rule else "",
        "advice": rule.advice if rule else "",
        "runbook": rule.runbook if rule else "docs/how-to/runbooks.md",
    }
