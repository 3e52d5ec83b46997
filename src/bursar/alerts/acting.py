"""What a person does with an alert: acknowledge it, silence it for a while, let it be heard again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bursar.kernel.jobs import INSTALLATION

SILENCE_MAX: Final = timedelta(days=30)

# The state is guarded in the statement: who acknowledges what is resolved meanwhile is told so.
_ACKNOWLEDGE = """
update alert set state = 'acknowledged', acknowledged_by = $3, acknowledged_at = $4
where tenant_id = $1 and id = $2 and state = 'open' returning id
"""
# Until then by the clock, and no longer by the watch's own time, whichever comes first.
_SILENCE = """
update alert set silenced_by = $3, silenced_until = $4, silenced_until_s = (select watched_s from alert_watch) + $5
where tenant_id = $1 and id = $2 and state <> 'resolved' returning id
"""
_UNSILENCE = """
update alert set silenced_by = null, silenced_until = null, silenced_until_s = null
where tenant_id = $1 and id = $2 and silenced_until is not null returning id
"""
_STATE = "select state from alert where tenant_id = $1 and id = $2"
_NOTE = (
    "insert into alert_history (tenant_id, id, alert_id, what, actor, detail, at) values ($1, $2, $3, $4, $5, $6, $7)"
)


class AlertNotFound(NotFound):
    """There is no such alert."""

    code = "alert_not_found"


class AlertResolved(Conflict):
    """The alert is resolved: there is nothing to acknowledge or silence."""

    code = "alert_resolved"


class SilenceInvalid(Invalid):
    """A silence ends in the future, and within thirty days."""

    code = "alert_silence_invalid"


async def acknowledge(tx: Transaction, *, tenant_id: UUID, alert_id: UUID, actor: str, now: datetime) -> None:
    """Say that somebody works on it: it is not told again unless it grows. Twice is once. Raises AlertNotFound, AlertResolved."""
    if await tx.fetchval(_ACKNOWLEDGE, tenant_id, alert_id, actor, now) is None:
        if await _state(tx, tenant_id, alert_id) == "resolved":
            raise _resolved(alert_id)
        return
    await _note(tx, tenant_id, alert_id, _Act("acknowledged", actor, now))


async def silence(
    tx: Transaction, *, tenant_id: UUID, alert_id: UUID, until: datetime, actor: str, now: datetime
) -> None:
    """Tell nobody of it until then; it goes on being counted. Raises AlertNotFound, AlertResolved, SilenceInvalid."""
    span = until - now
    if not timedelta(0) < span <= SILENCE_MAX:
        raise SilenceInvalid(
            "a silence ends in the future, and within thirty days",
            hint="Say until when, for instance an hour from now.",
            fields=(FieldError("until", "out_of_range", "between now and thirty days from now"),),
        )
    if await tx.fetchval(_SILENCE, tenant_id, alert_id, actor, until, int(span.total_seconds())) is None:
        await _state(tx, tenant_id, alert_id)
        raise _resolved(alert_id)
    await _note(tx, tenant_id, alert_id, _Act("silenced", actor, now, f"until {until:%Y-%m-%d %H:%M} UTC"))


async def unsilence(tx: Transaction, *, tenant_id: UUID, alert_id: UUID, actor: str, now: datetime) -> None:
    """Let it be heard again. Twice is once. Raises AlertNotFound."""
    await _state(tx, tenant_id, alert_id)
    if await tx.fetchval(_UNSILENCE, tenant_id, alert_id) is not None:
        await _note(tx, tenant_id, alert_id, _Act("unsilenced", actor, now))


async def _state(tx: Transaction, tenant_id: UUID, alert_id: UUID) -> str:
    found: str | None = await tx.fetchval(_STATE, tenant_id, alert_id)
    if found is None:
        raise AlertNotFound(f"there is no alert {ids.show(ids.ALERT, alert_id)}")
    return found


def _resolved(alert_id: UUID) -> AlertResolved:
    return AlertResolved(
        f"{ids.show(ids.ALERT, alert_id)} is resolved", hint="If it begins again soon, it is opened again by itself."
    )


@dataclass(frozen=True, slots=True)
class _Act:
    what: str
    actor: str
    now: datetime
    detail: str = ""


async def _note(tx: Transaction, tenant_id: UUID, alert_id: UUID, act: _Act) -> None:
    await tx.execute(_NOTE, tenant_id, ids.new(), alert_id, act.what, act.actor, act.detail, act.now)
    if tenant_id != INSTALLATION:
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=act.actor,
            action=f"alert.{act.what}",
            subject=ids.show(ids.ALERT, alert_id),
            changes={"detail": act.detail} if act.detail else {},
        )
