"""What each rule finds, which numbers hold for whom, and that a neighbour's trouble is nobody else's alert."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api.operations import _failed, _unknown, given_up, half_done
from bursar import health
from bursar.alerts import RULES, Choice, RuleChoiceInvalid, RuleUnknown, choose, look, measures, rules_of
from bursar.alerts.addresses import ChannelAddressInvalid, target_of
from bursar.alerts.models import Bound
from bursar.alerts.rules import BY_NAME
from bursar.alerts.traffic import Traffic
from bursar.health import standing
from bursar.kernel.http.addresses import networks
from bursar.kernel.jobs import INSTALLATION, Kinds, Resources
from bursar.kernel.settings import Settings
from serving import KEY
from stage import charge, event, intent, session, set_stage

pytestmark = pytest.mark.anyio

OF_TENANT = {
    "broken_invariant", "channel_failing", "circuit_open", "dead_jobs", "deliveries_refused", "disputes_due",
    "payment_failures", "unfinished_sagas", "unknown_calls", "unmatched_money", "webhook_failures",
}  # fmt: skip
OF_INSTALLATION = {
    "audit_unsealed", "backup_damaged", "backup_failed", "backups_overdue", "books_broken", "drill_failed", "disk_low", "error_rate", "events_waiting", "jobs_waiting",
    "not_reconciled", "part_unwell", "slow_answers",
}  # fmt: skip
LATER = timedelta(minutes=20)

# What takes an outside, or days, to come about.
_TALLIED = """
insert into payment_tally (tenant_id, quarter, gateway_account_id, currency, status, payments, amount_minor)
select a.tenant_id, date_bin('15 minutes', now(), timestamptz '2000-01-01 00:00+00'), a.id, 'CHF', $2, $3, 500
from gateway_account a where a.tenant_id = $1
"""
_BREAK = """
insert into payment_tally (tenant_id, quarter, gateway_account_id, currency, status, payments, amount_minor)
select a.tenant_id, date_bin('15 minutes', now(), timestamptz '2000-01-01 00:00+00'), a.id, 'CHF', s.status, 5, 500
from gateway_account a, (values ('failed'), ('succeeded')) as s (status) where a.tenant_id = $1;
insert into security_event (tenant_id, id, kind, actor, address, hour, count, detail, first_at, last_at)
values ($1, gen_random_uuid(), 'signature_refused', '', '192.0.2.1', date_trunc('hour', now()), 21, '', now(), now());
insert into invariant_sweep (tenant_id, checked_at, checked_through, checked_rows, failures)
values ($1, now(), now(), 1, '[{"name": "balances_match", "promises": "They do.", "offending": [{"a": 1}, {"a": 2}]}]');
insert into alert_channel (tenant_id, id, name, kind, url, shown, failures_running, failed_at, failure)
values ($1, gen_random_uuid(), 'Broken', 'webhook', 'x', 'https://…', 3, now(), 'the webhook answered 500');
insert into job (tenant_id, id, kind, key, idempotency_key, request, state, run_at)
values ($1, gen_random_uuid(), 'tests.nobody_knows', 'x', gen_random_uuid(), '', 'ready', now());
update gateway_account set api_key = 'x', created_at = now() - interval '3 days' where tenant_id = $1;
insert into request_tally (minute, requests, errors, slow) values (date_trunc('minute', now() + interval '20 minutes'), 100, 6, 6);
insert into backup_drill (id, ended_at, state, rpo_target_s, failure) values (gen_random_uuid(), now(), 'failed', 10, 'a segment is missing');
insert into retention_run (id, ended_at, failure) values (gen_random_uuid(), now(), 'the table of raw bodies was in use all the time');
insert into backup_listed (name, failure) values ('20260301T000000Z-full', 'one bit is not as it was');
update backup_standing set is_wanted = true, failure = 'no room', failed_at = now();
insert into alert_rule (tenant_id, rule, threshold) values ('00000000-0000-0000-0000-000000000000', 'disk_low', 1000000000);
update gateway_event_queue set run_at = now() - interval '2 hours' where tenant_id = $1
"""
_MEND = """
delete from payment_tally where currency = 'CHF';
delete from security_event where kind = 'signature_refused';
delete from invariant_sweep where tenant_id = $1;
update alert_channel set failures_running = 0, failed_at = null, failure = null;
delete from job where state = 'dead' or kind = 'tests.nobody_knows';
update gateway_account set created_at = now();
delete from request_tally;
insert into backup_drill (id, began_at, ended_at, state, rpo_target_s) values (gen_random_uuid(), now() + interval '1 minute', now() + interval '2 minutes', 'passed', 10);
delete from backup_listed;
delete from retention_run;
update backup_standing set is_wanted = false, failure = null, failed_at = null;
delete from alert_rule;
delete from gateway_event_queue;
delete from gateway_event_dead;
update dispute set status = 'won';
update purchase set is_paid = false where unmatched_reason is not null;
delete from gateway_call;
delete from saga;
update circuit set state = 'closed';
delete from audit_record
"""


async def _trouble(stage: Any, admin_url: str) -> None:
    soon = int((datetime.now(UTC) + timedelta(days=1)).timestamp())
    dispute = {
        "id": "dp_1", "object": "dispute", "status": "needs_response", "amount": 5000, "currency": "eur", "charge": "ch_1",
        "payment_intent": "pi_1", "created": 1_760_000_200, "evidence_details": {"due_by": soon},
    }  # fmt: skip
    await stage.tell(
        event("checkout.session.completed", session()),
        event("charge.succeeded", charge()),
        event("charge.dispute.created", dispute),
        event("payment_intent.succeeded", intent("7", latest_charge="ch_7", customer="cus_eve")),
    )
    await stage.deliver(event("charge.succeeded", {"id": "ch_bad", "object": "charge"}))
    await stage.apply(retries_max=1)
    await given_up(stage)
    await _failed(stage)
    await _unknown(stage)
    await half_done(stage)
    await stage.deliver(event("charge.succeeded", charge("8")))
    admin = await asyncpg.connect(admin_url)
    await admin.execute("set session_replication_role = replica")
    for statement in _BREAK.split(";\n"):
        await admin.execute(statement, *([stage.tenant_id] if "$1" in statement else []))
    await admin.execute("update saga set state = 'needs_hands', ended_at = null where tenant_id = $1", stage.tenant_id)
    await admin.close()


async def _one_card_declined(stage: Any, admin_url: str) -> None:
    """Let one of five payments fail: more than the threshold's share, and nothing that anybody need be woken for."""
    admin = await asyncpg.connect(admin_url)
    await admin.execute(_TALLIED, stage.tenant_id, "failed", 1)
    await admin.execute(_TALLIED, stage.tenant_id, "succeeded", 4)
    await admin.close()


async def _mend(stage: Any, admin_url: str) -> None:
    """End every trouble."""
    admin = await asyncpg.connect(admin_url)
    await admin.execute("set session_replication_role = replica")
    for statement in _MEND.split(";\n"):
        await admin.execute(statement, *([stage.tenant_id] if "$1" in statement else []))
    await admin.close()


async def test_each_rule_finds_what_it_is_for_and_tells_it_to_whom_it_concerns(db, database_url, admin_url, tmp_path):
    stage, calm = await set_stage(db, database_url), await set_stage(db, database_url, name="Calm")
    await _trouble(stage, admin_url)
    await _one_card_declined(calm, admin_url)
    settings = Settings(database_url=database_url, secret_key=KEY, data=tmp_path)

    seen = await look(db, settings, now=datetime.now(UTC) + LATER)

    assert seen is not None
    assert seen.failed == ()
    async with db.tenant(INSTALLATION) as tx:
        ours = await tx.fetch("select rule, subject, severity, detail from alert")
    mine = await stage.rows("select rule, subject, severity, value, detail from alert")
    by_rule = {row["rule"]: row for row in mine}
    assert by_rule.keys() == OF_TENANT
    assert {row["rule"] for row in ours} >= OF_INSTALLATION
    assert await calm.rows("select rule from alert") == []
    assert by_rule["payment_failures"]["value"] == pytest.approx(50, abs=5)
    assert by_rule["payment_failures"]["severity"] == "critical"
    assert BY_NAME["payment_failures"].shown_subject(by_rule["payment_failures"]["subject"]).startswith("gwa_")
    assert (by_rule["broken_invariant"]["subject"], by_rule["broken_invariant"]["value"]) == ("balances_match", 2)
    assert all(row["detail"] for row in [*mine, *ours])
    assert {row["subject"] for row in ours if row["rule"] == "part_unwell"} >= {"queue", "retention"}
    watched = {rule.name for rule in RULES if rule.source is not None}
    assert watched == OF_TENANT | OF_INSTALLATION, "a rule that no test makes find"

    await _mend(stage, admin_url)
    for minute in range(7):
        await look(db, settings, now=datetime.now(UTC) + LATER + timedelta(minutes=1 + minute))

    async with db.tenant(INSTALLATION) as tx:
        left = [
            tuple(row) for row in await tx.fetch("select rule, subject, detail from alert where state <> 'resolved'")
        ]
    left += await stage.rows("select rule, subject, detail from alert where state <> 'resolved'")
    assert left == []


async def test_a_rule_that_cannot_be_looked_at_is_itself_an_alert_and_hides_no_other(
    db, database_url, admin_url, tmp_path
):
    stage = await set_stage(db, database_url)
    await given_up(stage)
    settings, now = Settings(database_url=database_url, secret_key=KEY, data=tmp_path), datetime.now(UTC)
    admin = await asyncpg.connect(admin_url)
    await admin.execute("alter table security_event rename to hidden")

    seen = await look(db, settings, now=now)

    assert seen is not None
    assert seen.failed == ("deliveries_refused",)
    assert [row["rule"] for row in await stage.rows("select rule from alert")] == ["dead_jobs"]
    found = "select subject, severity, detail, state from alert where rule = 'rule_failed'"
    async with db.tenant(INSTALLATION) as tx:
        [failed] = [tuple(row) for row in await tx.fetch(found)]
    assert failed == ("deliveries_refused", "high", "UndefinedTableError: its statement failed", "open")

    await admin.execute("alter table hidden rename to security_event")
    await admin.close()
    for minute in range(1, 8):
        await look(db, settings, now=now + timedelta(minutes=minute))

    async with db.tenant(INSTALLATION) as tx:
        assert [row["state"] for row in await tx.fetch(found)] == ["resolved"]


async def test_a_business_has_its_own_numbers_and_else_the_installations(db, database_url, tmp_path):
    one, other = await set_stage(db, database_url), await set_stage(db, database_url, name="Other")
    settings = Settings(database_url=database_url, secret_key=KEY, data=tmp_path)
    now = datetime.now(UTC)
    for stage in (one, other):
        await given_up(stage)

    async def chosen(tenant_id: Any, **choice: Any) -> None:
        async with db.tenant(tenant_id) as tx:
            await choose(tx, tenant_id=tenant_id, name="dead_jobs", choice=Choice(**choice), actor="tests")

    await chosen(INSTALLATION, is_on=False)
    await look(db, settings, now=now)
    assert await one.rows("select 1 from alert") == await other.rows("select 1 from alert") == []
    await chosen(one.tenant_id, is_on=True, severity="low")
    await look(db, settings, now=now + timedelta(minutes=1))
    assert [row["severity"] for row in await one.rows("select severity from alert")] == ["low"]
    assert await other.rows("select 1 from alert") == []
    await chosen(INSTALLATION)
    await chosen(other.tenant_id, threshold=5.0)
    await look(db, settings, now=now + timedelta(minutes=2))
    assert await other.rows("select 1 from alert") == []
    await chosen(other.tenant_id)
    await look(db, settings, now=now + timedelta(minutes=3))
    assert [row["severity"] for row in await other.rows("select severity from alert")] == ["high"]


@pytest.mark.parametrize(
    ("rule", "choice", "refusal"),
    [
        ("payment_failures", Choice(threshold=101.0), RuleChoiceInvalid),
        ("payment_failures", Choice(threshold=float("nan")), RuleChoiceInvalid),
        ("payment_failures", Choice(window_s=1), RuleChoiceInvalid),
        ("webhook_failures", Choice(window_s=600), RuleChoiceInvalid),
        ("backup_failed", Choice(is_on=False), RuleUnknown),
        ("no_such_rule", Choice(is_on=False), RuleUnknown),
    ],
)
async def test_numbers_that_do_not_fit_a_rule_are_refused(db, database_url, rule, choice, refusal):
    stage = await set_stage(db, database_url)

    async with db.tenant(stage.tenant_id) as tx:
        with pytest.raises(refusal):
            await choose(tx, tenant_id=stage.tenant_id, name=rule, choice=choice, actor="tests")
        assert not any(shown.choice != Choice() for shown in await rules_of(tx, tenant_id=stage.tenant_id))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x", "https://10.0.0.1/x", "https://[::1]/x", "https://[::ffff:169.254.169.254]/latest", "https://169.254.169.254/",
        "https://[64:ff9b::a00:1]/", "http://example.org/x", "https://user:pw@example.org/x", "https://example.org/#x", "https:///x", "file:///etc/passwd",
        "json://127.0.0.1/x", "syslog://", "mailto:ann@example.org,bob@example.org", "mailto:nobody", "discord://a/b", "exec://x", "slack://", "x" * 1001,
        "https://example.org/\nx", "https://exämple.org/x", "mailto://user:pw@example.org?smtp=10.0.0.1",
    ],
)  # fmt: skip
def test_an_address_that_may_lead_elsewhere_is_refused(url):
    with pytest.raises(ChannelAddressInvalid):
        target_of(url, permitted=())


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("mailto:ann@example.org", "email", "a…@example.org"),
        ("https://hooks.example.org/s3cret?k=s3cret", "webhook", "https://hooks.example.org/…"),
        ("https://hooks.slack.com/services/TAAAAAAAA/BAAAAAAAA/s3crets3crets3crets3cret", "slack", "slack://"),
        ("pagerduty://s3cretkey@s3cretapi", "pagerduty", "pagerduty://"),
        (f"twilio://AC{'a' * 32}:{'b' * 32}@15551234567/15557654321", "sms", "twilio://"),
        ("http://10.1.2.3:8080/hook", "webhook", "http://10.1.2.3/…"),
    ],
)
def test_of_an_address_only_what_is_no_secret_is_shown(url, kind, shown):
    found = target_of(url, permitted=networks("10.0.0.0/8"))

    assert found.kind == kind
    assert found.shown.startswith(shown)
    assert "s3cret" not in found.shown
    assert "bbbb" not in found.shown


async def test_answers_are_counted_by_the_minute_and_probes_are_not(db):
    traffic = Traffic()
    for status in (200, 200, 404, 500, 502):
        traffic.note("GET", "/v1/payments", status, 0.1)
    traffic.note("GET", "/v1/payments", 200, 1.5)
    traffic.note("POST", "/v1/refunds", 202, 9.0)
    traffic.note("GET", "/health/ready", 503, 3.0)

    await asyncio.gather(traffic.flush(db), traffic.flush(db))

    async with db.engine() as tx:
        row = await tx.fetchrow(
            "select sum(requests) as requests, sum(errors) as errors, sum(slow) as slow from request_tally"
        )
    assert tuple(row.values()) == (7, 1, 1)


def test_every_rule_has_its_section_in_the_runbooks():
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "runbooks.md").read_text(encoding="utf-8")

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [rule.runbook.partition("#")[2] for rule in RULES]
    for rule in RULES:
        assert rule.advice in text, rule.name
        assert f"**{rule.title}.** {rule.severity};" in text, rule.name


@pytest.mark.parametrize(("latencies", "told"), [((0.6, 0.001), []), ((0.6, 0.7), ["degraded: the look took 0.7 s"])])
async def test_one_slow_answer_of_the_database_wakes_nobody_and_two_do(db, tmp_path, monkeypatch, latencies, told):
    settings = Settings(database_url="", secret_key=KEY, data=tmp_path)
    held = Resources(db, settings)
    seen = await standing.look(held, Kinds(()), seldom=None)
    looks = iter(latencies)

    async def slow(*_: Any) -> tuple[Any, ...]:
        return health.parts_of(
            replace(seen, latency_s=next(looks)), health.machine(tmp_path), health.Issuers(), settings
        )

    monkeypatch.setattr(health, "current_parts", slow)

    found = await measures.parts_unwell(None, held, datetime.now(UTC), Bound(0, 0, "high"))

    assert [f.detail for f in found if f.subject == "database"] == told
