"""The job that makes a call. Read it as the way of a call: leave, doubt, sending, answer, outcome."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog

from bursar.kernel import ids, jobs, tracing
from bursar.kernel.circuits import Admission, Refused
from bursar.kernel.db import Transaction, storable
from bursar.kernel.errors import DomainError
from bursar.kernel.jobs import Backoff, GivenUp, Job, Kind, Postponed, Retry, Work
from bursar.money.calls import writing
from bursar.money.calls.links import seal_link
from bursar.money.calls.models import EXECUTE, LOOK, Asker, Ended, Hear, Intent
from bursar.money.calls.outside import Outside, Place
from bursar.money.gateways.calling import (
    Answer,
    Caller,
    CallFailed,
    Credentials,
    CredentialsRefused,
    GatewayBusy,
    GatewayRefused,
    NotMade,
    OperationUnsupported,
    OutcomeUnknown,
    StillRunning,
)
from bursar.money.gateways.calls import AnyCall, CallUnreadable, CreateCustomer, CreatePayment, CreateRefund
from bursar.money.gateways.calls import Kind as ObjectKind
from bursar.money.gateways.fields import ref_of
from bursar.money.gateways.reports import Source, report_event
from bursar.money.intake import file_written
from bursar.money.intake.accounts import credentials

KEY_TRUSTED: Final = timedelta(hours=20)
"""How long a key is repeated without looking first. Stripe may forget one after 24 h."""
TRIED_FOR: Final = timedelta(hours=72)
CLOCKS_APART: Final = timedelta(hours=1)
"""How far a gateway's clock may be behind ours: its effects are looked for from so much before the call."""
LOOKED_AFTER: Final = timedelta(minutes=5)
"""When an unknown call is looked for first: later than any answer, and than gateways' lists are behind."""
LOOKS_MAX: Final = 12
MAKES: Final = (CreateRefund, CreatePayment, CreateCustomer)
"""Calls whose effect carries our mark for good. Where there is no mark, nothing was done; of others that is no proof."""
_BUSY_AGAIN: Final = timedelta(seconds=5)
_KEYLESS_AGAIN: Final = timedelta(seconds=60)
_CREDENTIALS_AGAIN: Final = timedelta(minutes=10)
_UNREADABLE_AGAIN: Final = timedelta(minutes=1)
_UNTOLD: Final = frozenset({ObjectKind.file, ObjectKind.portal_session})
"""Answers that report nothing: a file's name, which may be a person's, and a link, which opens something."""

Ask = Callable[..., Awaitable[Answer | None]]

_log = structlog.get_logger("bursar.calls")


@dataclass(frozen=True, slots=True)
class _Way:
    """One attempt: what is to be asked, by which adapter, with what."""

    work: Work
    intent: Intent
    call: AnyCall
    adapter: Caller
    opened: Credentials
    leave: Admission


def execution(outside: Outside, askers: Iterable[Asker], *, lease_s: float = 60.0) -> Kind:
    """Return the kind of job that makes calls. askers: who may be told of outcomes."""
    executor = Executor(outside, {asker.name: asker for asker in askers})
    backoff = Backoff(first_s=2.0, factor=2.0, max_s=900.0)
    return Kind(EXECUTE, executor.execute, attempts_max=12, lease_s=lease_s, backoff=backoff, on_dead=executor.dead)


def lookup(outside: Outside, askers: Iterable[Asker]) -> Kind:
    """Return the kind of job that looks for calls whose outcome is unknown: within some four days, ever more rarely."""
    executor = Executor(outside, {asker.name: asker for asker in askers})
    backoff = Backoff(first_s=LOOKED_AFTER.total_seconds(), factor=2.0, max_s=86_400.0)
    return Kind(LOOK, executor.look, attempts_max=LOOKS_MAX, backoff=backoff)


class Executor:
    """Makes calls. It keeps nothing but the way out."""

    def __init__(self, outside: Outside, askers: Mapping[str, Asker]) -> None:
        self._outside = outside
        self._askers = askers

    async def execute(self, work: Work) -> None:
        """Make one call, or learn that it has been made. Raises what says when to try again."""
        call_id = ids.parse(ids.GATEWAY_CALL, work.job.key)
        db, tenant_id = work.resources.db, work.job.tenant_id
        async with db.tenant(tenant_id) as tx:
            it = await writing.intent(tx, tenant_id=tenant_id, call_id=call_id)
        if it is None or it.state != "asked":
            return  # It has its outcome: the job was repeated.
        if self._outside.now() - it.created_at > TRIED_FOR and not it.must_look:
            raise GivenUp(f"tried for {TRIED_FOR.days} days")
        call = _call_of(it)
        leave = await self._outside.leave(db, _place(it))
        if isinstance(leave, Refused):
            raise self._postponed("its circuit is open", leave)
        name, opened = await self._opened(work, it)
        adapter = self._outside.caller_of(name)
        attributes: tracing.Attributes = {
            "bursar.gateway": name,
            "bursar.gateway_call": work.job.key,
            "bursar.subject": it.subject,
        }
        with tracing.span(f"gateway {it.operation}", attributes):
            await self._attempt(_Way(work, it, call, adapter, opened, leave))

    async def _attempt(self, way: _Way) -> None:
        it = way.intent
        try:
            way.adapter.check(way.call)
            if _is_doubtful(it, way.adapter, now=self._outside.now()):
                if not way.adapter.finds(way.call):
                    await self._unknown(way, "the gateway keeps no mark by which it could be looked for")
                    return
                find = partial(way.adapter.find, since=it.created_at - CLOCKS_APART)
                found = await self._within(way, find, attempt=it.attempts, before=True)
                if found is not None:
                    await self._succeeded(way, found)
                    return
                way = await self._with_new_key(way)
            await self._send(way)
        except OperationUnsupported as error:
            await self._refused(way, GatewayRefused(error.message, code=error.code))
        except GatewayRefused as refusal:
            await self._refused(way, refusal)

    async def _send(self, way: _Way) -> None:
        async with way.work.resources.db.tenant(way.intent.tenant_id) as tx:
            attempt = await writing.sending(tx, way.intent, now=self._outside.now())
        if attempt is None:
            raise Retry("another worker makes it")
        answer = await self._within(way, way.adapter.execute, attempt=attempt, before=way.intent.in_doubt)
        assert answer is not None, "execute answers or raises"
        await self._succeeded(way, answer)

    async def _within(self, way: _Way, ask: Ask, *, attempt: int, before: bool) -> Answer | None:
        """Ask the gateway; tell the circuit; turn what went wrong into when to try again.

        before: whether anything sent earlier may have been done. Raises GatewayRefused, and what `execute` does.
        """
        failure: CallFailed
        try:
            answer: Answer | None = await ask(
                way.call,
                credentials=way.opened,
                idempotency_key=way.intent.idempotency_key,
                deadline_s=self._outside.deadline_s,
            )
        except CallFailed as error:
            failure = error
        else:
            await self._heard(way, None)
            return answer
        waits = await self._heard(way, failure)
        if isinstance(failure, GatewayRefused) and not failure.is_same_key:
            raise failure
        looks = _must_look(failure)
        in_doubt = before or looks or isinstance(failure, StillRunning) or not isinstance(failure, NotMade)
        async with way.work.resources.db.tenant(way.intent.tenant_id) as tx:
            await writing.troubled(tx, way.intent, failure, attempt=attempt, in_doubt=in_doubt, must_look=looks)
        _log.warning("gateway_call_failed", operation=way.intent.operation, kind=failure.kind, detail=failure.message)
        raise self._again(way, failure, waits)

    def _again(self, way: _Way, failure: CallFailed, waits: Refused | None) -> Exception:
        reason = f"{failure.kind}: {failure.message}"
        if waits is not None:
            return self._postponed(reason, waits)
        match failure:
            case GatewayBusy() | StillRunning():
                return Postponed(reason, after=_BUSY_AGAIN)
            case CredentialsRefused():
                return Postponed(reason, after=_CREDENTIALS_AGAIN)
            case OutcomeUnknown() if way.adapter.repeats_safely_s is None:
                return Retry(reason, after=_KEYLESS_AGAIN)
        return Retry(reason)

    def _postponed(self, reason: str, waits: Refused) -> Postponed:
        """The circuit's clock and the database's are not the same: only the span counts."""
        return Postponed(reason, after=max(waits.until - self._outside.now(), timedelta(0)))

    async def _heard(self, way: _Way, failure: CallFailed | None) -> Refused | None:
        return await self._outside.heard(way.work.resources.db, way.leave, failure, _place(way.intent))

    async def _opened(self, work: Work, it: Intent) -> tuple[str, Credentials]:
        resources = work.resources
        try:
            async with resources.db.tenant(it.tenant_id) as tx:
                return await credentials(
                    tx,
                    tenant_id=it.tenant_id,
                    account_id=it.account_id,
                    seal=resources.seal,
                    is_production=resources.settings.production,
                )
        except DomainError as error:
            if error.category == "database":
                raise
            raise Postponed(error.message, after=_CREDENTIALS_AGAIN) from error

    async def _with_new_key(self, way: _Way) -> _Way:
        """Go on with a new key: the old one surely did nothing, and the gateway may go on repeating its failure."""
        async with way.work.resources.db.tenant(way.intent.tenant_id) as tx:
            taken = await writing.new_key(tx, way.intent)
            it = await writing.intent(tx, tenant_id=way.intent.tenant_id, call_id=way.intent.id)
        if not taken or it is None:
            raise Retry("another worker makes it")
        return _Way(way.work, it, way.call, way.adapter, way.opened, way.leave)

    async def _succeeded(self, way: _Way, answer: Answer) -> None:
        it, seal = way.intent, way.work.resources.seal
        url = seal_link(seal, answer.url, call_id=it.id) if answer.url else None
        async with way.work.finish() as tx:
            event_id = None
            if answer.kind not in _UNTOLD:
                event = report_event(kind=answer.kind, object=answer.object, at=answer.at, source=Source.call)
                event_id = await file_written(tx, tenant_id=it.tenant_id, account_id=it.account_id, event=event)
            is_first = await writing.succeeded(
                tx,
                it,
                kind=answer.kind,
                ref=answer.ref,
                url=url,
                event_id=event_id,
                now=self._outside.now(),
                is_let_go=way.call.is_let_go,
            )
            if is_first:
                told = _ended(it, way.call, object_kind=answer.kind, ref=answer.ref, object=answer.object)
                await self._tell(tx, it, "on_succeeded", told)

    async def _refused(self, way: _Way, refusal: GatewayRefused) -> None:
        it, event_id = way.intent, None
        async with way.work.finish() as tx:
            if refusal.object is not None and refusal.object_kind is not None and refusal.at is not None:
                event = report_event(kind=refusal.object_kind, object=refusal.object, at=refusal.at, source=Source.call)
                event_id = await file_written(tx, tenant_id=it.tenant_id, account_id=it.account_id, event=event)
            told = refusal.object or {}
            await self._tell_refused(
                tx,
                it,
                way.call,
                code=refusal.decline_code or refusal.code,
                why=refusal.message,
                event_id=event_id,
                object_kind=refusal.object_kind,
                ref=ref_of(told),
                object=refusal.object,
            )

    async def _tell_refused(
        self,
        tx: Transaction,
        it: Intent,
        call: AnyCall,
        *,
        code: str | None,
        why: str,
        event_id: UUID | None = None,
        **more: Any,
    ) -> None:
        """more: of the object that the gateway told of, as in `Ended`."""
        now = self._outside.now()
        if await writing.ended(
            tx,
            it,
            state="refused",
            kind="refused",
            code=code,
            message=why,
            now=now,
            event_id=event_id,
            is_let_go=call.is_let_go,
        ):
            await self._tell(tx, it, "on_refused", _ended(it, call, code=code, message=why, **more))

    async def _unknown(self, way: _Way, why: str) -> None:
        async with way.work.finish() as tx:
            await self._tell_unknown(tx, way.intent, why=why)

    async def _tell_unknown(self, tx: Transaction, it: Intent, *, why: str) -> None:
        """Write that nobody can tell, and have it looked for later."""
        now = self._outside.now()
        if not await writing.ended(tx, it, state="unknown", kind="unknown", code=None, message=why, now=now):
            return
        shown = ids.show(ids.GATEWAY_CALL, it.id)
        await jobs.enqueue(tx, tenant_id=it.tenant_id, kind=LOOK, key=shown, run_at=now + LOOKED_AFTER)
        await self._tell(tx, it, "on_unknown", _ended(it, it.call, message=why))
        _log.error("gateway_call_unknown", operation=it.operation, subject=it.subject, why=why)

    async def dead(self, tx: Transaction, job: Job) -> None:
        """Write what is known when no attempt is left: nothing was done, so it is refused; or nobody can tell."""
        call_id = ids.parse(ids.GATEWAY_CALL, job.key)
        it = await writing.intent(tx, tenant_id=job.tenant_id, call_id=call_id)
        if it is None or it.state != "asked":
            return
        why = job.error or "no attempt is left"
        if it.in_doubt:
            await self._tell_unknown(tx, it, why=why)
        else:
            await self._tell_refused(tx, it, it.call, code="gateway_unreachable", why=why)

    async def look(self, work: Work) -> None:
        """Look what became of a call of which nobody can tell, and settle it where that is proven. Nothing is sent.

        Where it cannot be proven within the attempts, it stays as it is, for a person.
        """
        call_id = ids.parse(ids.GATEWAY_CALL, work.job.key)
        async with work.resources.db.tenant(work.job.tenant_id) as tx:
            it = await writing.intent(tx, tenant_id=work.job.tenant_id, call_id=call_id)
        if it is None or it.state != "unknown":
            return
        leave = await self._outside.leave(work.resources.db, _place(it))
        if isinstance(leave, Refused):
            raise self._postponed("its circuit is open", leave)
        name, opened = await self._opened(work, it)
        way = _Way(work, it, _call_of(it), self._outside.caller_of(name), opened, leave)
        try:
            found = await self._looked(way)
        except CallFailed as failure:
            await self._heard(way, failure)
            self._later(work, failure.message)
            return
        if found is not None:
            await self._succeeded(way, found)
        elif isinstance(way.call, MAKES):
            await self._refused(way, GatewayRefused("the gateway has nothing of it", code="not_done"))
        else:
            self._later(work, "the gateway does not show it, and it may have been done and undone")

    async def _looked(self, way: _Way) -> Answer | None:
        if not way.adapter.finds(way.call):
            raise OutcomeUnknown("the gateway keeps no mark by which it could be looked for")
        found = await way.adapter.find(
            way.call,
            credentials=way.opened,
            idempotency_key=way.intent.idempotency_key,
            since=way.intent.created_at - CLOCKS_APART,
            deadline_s=self._outside.deadline_s,
        )
        await self._heard(way, None)
        return found

    def _later(self, work: Work, why: str) -> None:
        if work.job.attempt < LOOKS_MAX:
            raise Retry(why)
        _log.error("gateway_call_stays_unknown", gateway_call=work.job.key, why=why)

    async def _tell(self, tx: Transaction, it: Intent, hook: str, ended: Ended) -> None:
        """Tell whoever asked, in the order in which they asked to be told."""
        for name in it.asker.split():
            if name in self._askers:
                hear: Hear = getattr(self._askers[name], hook)
                await hear(tx, ended)


def _call_of(it: Intent) -> AnyCall:
    try:
        return it.call
    except CallUnreadable as error:
        raise Postponed(str(error), after=_UNREADABLE_AGAIN) from error


def _is_doubtful(it: Intent, adapter: Caller, *, now: datetime) -> bool:
    """True when something sent earlier may have been done, and repeating the key would not show it."""
    if it.must_look:
        return True
    if not it.in_doubt:
        return False
    if adapter.repeats_safely_s is None or it.first_sent_at is None:
        return True
    return now - it.first_sent_at >= min(KEY_TRUSTED, timedelta(seconds=adapter.repeats_safely_s))


def _must_look(failure: CallFailed) -> bool:
    """True when the gateway will say the same again for as long as it keeps the key."""
    if isinstance(failure, OutcomeUnknown):
        return failure.is_replayed
    return isinstance(failure, GatewayRefused) and failure.is_same_key


def _place(it: Intent) -> Place:
    return Place(it.tenant_id, it.account_id, it.operation)


def _ended(it: Intent, call: AnyCall, *, code: str | None = None, message: str | None = None, **more: Any) -> Ended:
    """Return what whoever asked is told. A gateway's words are told as they are kept: he writes them down too."""
    code = code and storable(code, length_max=writing.CODE_MAX)
    message = message and storable(message, length_max=writing.MESSAGE_MAX)
    return Ended(it.tenant_id, it.id, it.account_id, it.subject, call, code=code, message=message, **more)
