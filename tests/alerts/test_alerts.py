"""One alert for each thing that is wrong, told once: through storms, parallel evaluators, channels that are down, and clocks that jump."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from alerts.receiving import Receiver, dead_url, receiving
from bursar.alerts import SilenceInvalid, acknowledge, channels, look, silence
from bursar.alerts.addresses import target_of
from bursar.alerts.forgetting import forget
from bursar.alerts.jobs import KINDS
from bursar.alerts.looking import Seen, raise_all
from bursar.alerts.models import Finding, Look
from bursar.alerts.rules import BY_NAME
from bursar.kernel import ids
from bursar.kernel.http.addresses import networks
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from draining import bring_forward, drain
from serving import KEY
from stage import Stage, set_stage

pytestmark = pytest.mark.anyio

HERE = "127.0.0.0/8"
_DIE = """
insert into job (tenant_id, id, kind, key, idempotency_key, request, state, run_at, error, rested_at)
select $1, gen_random_uuid(), 'tests.fail', $3 || n, gen_random_uuid(), '', 'dead', now(), 'no', now() from generate_series(1, $2::integer) n
"""


@dataclass
class Scene:
    """A stage whose alerts are looked at by a clock that the test moves."""

    stage: Stage
    settings: Settings
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def look(self, **passed: float) -> Seen:
        """Let time pass, look, and send what is to be told."""
        self.now += timedelta(**(passed or {"minutes": 1}))
        seen = await look(self.stage.db, self.settings, now=self.now)
        assert seen is not None
        assert seen.failed == ()
        await self.send()
        return seen

    async def watch(self, minutes: int) -> list[Seen]:
        return [await self.look() for _ in range(minutes)]

    async def send(self) -> None:
        await drain(self.stage, KINDS, secret_key=KEY, alert_networks=HERE, data=self.settings.data)

    async def die(self, jobs: int, key: str = "k") -> None:
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            await tx.execute(_DIE, self.stage.tenant_id, jobs, key)

    async def live(self) -> None:
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            await tx.execute("delete from job where kind = 'tests.fail'")

    async def channel(self, name: str, url: str) -> Any:
        target = target_of(url, permitted=networks(HERE))
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            added = await channels.add_channel(
                tx, Seal(KEY), tenant_id=self.stage.tenant_id, name=name, target=target, actor="tests"
            )
            return added.id

    async def route(self, channel: Any, second: Any = None, severity: Any = "low", rule: str | None = None) -> None:
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            await channels.add_route(
                tx,
                tenant_id=self.stage.tenant_id,
                rule=rule,
                severity=severity,
                channel_id=channel,
                second_id=second,
                actor="tests",
            )

    async def alerts(self, rule: str = "dead_jobs") -> list[dict[str, Any]]:
        return await self.stage.rows("select * from alert where rule = $1 order by id", rule)


@pytest.fixture
async def scene(db, database_url, tmp_path) -> Scene:
    stage = await set_stage(db, database_url)
    return Scene(stage, Settings(database_url=database_url, secret_key=KEY, alert_networks=HERE, data=tmp_path))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


async def test_ten_thousand_failures_are_one_alert_and_one_notice_whoever_looks(scene, receiver):
    await scene.route(await scene.channel("hook", receiver.url))
    await scene.die(10_000)

    seen = await asyncio.gather(*(look(scene.stage.db, scene.settings, now=scene.now) for _ in range(8)))
    await scene.send()
    await scene.watch(5)

    (alert,) = await scene.alerts()
    assert [one.opened for one in seen if one] == [1]
    assert (alert["subject"], alert["occurrences"], alert["failures"], alert["state"]) == (
        "tests.fail",
        10_000,
        10_000,
        "open",
    )
    assert [body["alert"] for body in receiver.taken] == [ids.show(ids.ALERT, alert["id"])]
    assert receiver.taken[0]["occurrences"] == 10_000
    assert receiver.taken[0]["title"] == "Jobs were given up"


async def test_evaluators_that_raise_at_the_same_moment_count_once(scene):
    this = Look(1, 0, scene.now)
    finding = Finding(scene.stage.tenant_id, "tests.fail", "high", 5.0, 5, "five")

    async def raised() -> int:
        async with scene.stage.db.engine() as tx:
            return len(await raise_all(tx, scene.settings, rule=BY_NAME["dead_jobs"], findings=[finding], this=this))

    told = await asyncio.gather(*(raised() for _ in range(8)))

    (alert,) = await scene.alerts()
    assert sum(told) == 1
    assert alert["occurrences"] == 5


async def test_what_goes_on_is_told_once_in_a_cool_down_and_again_when_it_ends(scene, receiver):
    await scene.route(await scene.channel("hook", receiver.url))
    await scene.die(3)

    await scene.watch(59)
    assert len(receiver.taken) == 1
    await scene.watch(3)
    assert len(receiver.told("reminded")) == 1
    await scene.live()
    await scene.watch(6)

    (alert,) = await scene.alerts()
    assert alert["state"] == "resolved"
    assert [body["what"] for body in receiver.taken] == ["opened", "reminded", "resolved"]


async def test_what_flaps_is_one_alert(scene, receiver):
    await scene.route(await scene.channel("hook", receiver.url))
    for _ in range(4):
        await scene.die(3)
        await scene.watch(2)
        await scene.live()
        await scene.watch(8)

    (alert,) = await scene.alerts()
    assert alert["came_back"] == 1
    assert [body["what"] for body in receiver.taken] == ["opened", "resolved", "came_back"]


async def test_a_jump_of_the_clock_neither_tells_everything_again_nor_silences(scene, receiver):
    await scene.route(await scene.channel("hook", receiver.url))
    await scene.die(3)
    await scene.watch(2)

    for jump in ({"days": 3}, {"days": -3}, {"hours": -5}, {"hours": 5}):
        await scene.look(**jump)
        await scene.watch(3)
    assert len(receiver.taken) == 1
    await scene.look(days=-10)
    async with scene.stage.db.tenant(scene.stage.tenant_id) as tx:
        await tx.execute(_DIE.replace("tests.fail", "tests.other"), scene.stage.tenant_id, 1, "x")
    await scene.watch(1)

    assert [(body["what"], body["subject"]) for body in receiver.taken] == [
        ("opened", "tests.fail"),
        ("opened", "tests.other"),
    ]
    async with scene.stage.db.tenant(INSTALLATION) as tx:
        said = await tx.fetch("select subject, occurrences from alert where rule = 'clock_jumped' order by subject")
    assert [(row["subject"], row["occurrences"]) for row in said] == [("clock", 3), ("watch", 2)]


async def test_a_channel_that_is_down_hands_over_to_the_second(scene, receiver):
    first, second = await scene.channel("dead", dead_url()), await scene.channel("alive", receiver.url)
    await scene.route(first, second)
    await scene.die(1)

    await scene.look()
    for _ in range(3):
        await bring_forward(scene.stage)
        await scene.send()

    notices = await scene.stage.rows("select channel, state, attempts, failure from alert_notice order by id")
    assert [(n["channel"], n["state"], n["attempts"]) for n in notices] == [
        ("dead", "passed_on", 3),
        ("alive", "sent", 1),
    ]
    assert len(receiver.told("opened")) == 1
    dead = await scene.stage.row("select failures_running, failure from alert_channel where name = 'dead'")
    assert dead["failures_running"] == 3
    assert "127.0.0.1" not in dead["failure"]
    await scene.watch(1)
    (failing,) = await scene.alerts("channel_failing")
    assert failing["value"] == 3
    assert await scene.stage.value("select count(*) from job where state = 'dead' and kind = 'alerts.send_notice'") == 0


async def test_a_channel_without_a_second_is_tried_again_until_it_works(scene, receiver):
    await scene.route(await scene.channel("hook", receiver.url))
    receiver.status = 500
    await scene.die(1)

    await scene.look()
    receiver.status = 204
    await bring_forward(scene.stage)
    await scene.send()

    notice = await scene.stage.row("select state, attempts from alert_notice")
    assert (notice["state"], notice["attempts"]) == ("sent", 2)
    assert receiver.taken[0]["id"] == receiver.taken[1]["id"]
    assert await scene.stage.value("select failures_running from alert_channel") == 0


async def test_what_somebody_works_on_is_not_told_again_unless_it_grows(scene, receiver):
    await scene.route(await scene.channel("hook", receiver.url))
    await scene.die(3)
    await scene.look()
    (alert,) = await scene.alerts()
    async with scene.stage.db.tenant(scene.stage.tenant_id) as tx:
        for _ in range(2):
            await acknowledge(
                tx, tenant_id=scene.stage.tenant_id, alert_id=alert["id"], actor="user:ann", now=scene.now
            )

    await scene.watch(70)
    assert len(receiver.taken) == 1
    await scene.die(3, "more")
    await scene.watch(2)

    assert [body["what"] for body in receiver.taken] == ["opened", "reminded"]
    history = await scene.stage.rows("select what, actor from alert_history order by id")
    assert [(h["what"], h["actor"]) for h in history] == [
        ("opened", None),
        ("acknowledged", "user:ann"),
        ("reminded", None),
    ]
    acted = await scene.stage.rows("select actor from audit_record where action = 'alert.acknowledged'")
    assert [one["actor"] for one in acted] == ["user:ann"]


async def test_a_silence_ends_by_itself(scene, receiver):
    await scene.route(await scene.channel("hook", receiver.url))
    await scene.die(3)
    await scene.look()
    (alert,) = await scene.alerts()
    of = {"tenant_id": scene.stage.tenant_id, "alert_id": alert["id"], "actor": "user:ann"}
    async with scene.stage.db.tenant(scene.stage.tenant_id) as tx:
        await silence(tx, until=scene.now + timedelta(hours=2), now=scene.now, **of)
        for until in (scene.now, scene.now + timedelta(days=31)):
            with pytest.raises(SilenceInvalid):
                await silence(tx, until=until, now=scene.now, **of)

    await scene.watch(119)
    assert len(receiver.taken) == 1
    await scene.watch(2)

    assert [body["what"] for body in receiver.taken] == ["opened", "reminded"]
    assert (await scene.alerts())[0]["silenced_until"] is None


async def test_the_installation_s_alerts_go_to_the_settings_addresses(scene, receiver):
    scene.settings = scene.settings.model_copy(update={"alert_urls": f"{dead_url()} {receiver.url}"})
    async with scene.stage.db.tenant(INSTALLATION) as tx:
        await tx.execute(_DIE, INSTALLATION, 2, "k")
        await tx.execute(
            "insert into alert_rule (tenant_id, rule, is_on) values ($1, 'not_reconciled', false)", INSTALLATION
        )

    await look(scene.stage.db, scene.settings, now=scene.now)
    await drain(scene.stage, KINDS, secret_key=KEY, alert_urls=scene.settings.alert_urls)

    assert [(body["whose"], body["title"]) for body in receiver.taken] == [("the installation", "Jobs were given up")]
    assert await scene.alerts() == []


async def test_a_drill_that_fails_for_another_cause_is_told_at_once_and_other_figures_are_not(
    scene, receiver, admin_url
):
    scene.settings = scene.settings.model_copy(update={"alert_urls": receiver.url})
    admin = await asyncpg.connect(admin_url)

    async def told_of(failure: str, *checks: str) -> str | None:
        before = len(receiver.taken)
        await admin.execute(
            """insert into backup_drill (id, ended_at, state, rpo_target_s, failure, checks)
            select gen_random_uuid(), now(), 'failed', 10, $1::text, coalesce(jsonb_agg(jsonb_build_object('name', n, 'ok', false, 'found', $1::text)), '[]')
            from unnest($2::text[]) n""",
            failure,
            checks,
        )
        for _ in range(3):
            scene.now += timedelta(minutes=1)
            await look(scene.stage.db, scene.settings, now=scene.now)
            await drain(scene.stage, KINDS, secret_key=KEY, alert_urls=scene.settings.alert_urls)
        told = [body for body in receiver.taken[before:] if body["title"] == "A drill failed"]
        assert len(told) <= 1
        return f"{told[0]['what']} {told[0]['detail'].partition(' (begun')[0]}" if told else None

    try:
        assert await told_of("wal/1/A is damaged: a bit") == "opened wal/1/A is damaged: a bit"
        assert await told_of("wal/1/A is damaged: it ends too early") is None
        assert await told_of("wal/1/B is damaged: a bit") == "reminded wal/1/B is damaged: a bit"
        assert await told_of("recovery time: 12.1 s", "recovery time") == "reminded recovery time: 12.1 s"
        assert await told_of("recovery time: 14.9 s", "recovery time") is None
        await admin.execute(
            "update alert set state = 'acknowledged', acknowledged_at = now() where rule = 'drill_failed'"
        )
        both = "counts: 7; recovery time: 13.0 s"
        assert await told_of(both, "counts", "recovery time") == f"reminded {both}"
        await admin.execute(
            "update alert set silenced_by = 'ann', silenced_until = now() + interval '1 day', silenced_until_s = 86400 where rule = 'drill_failed'"
        )
        assert await told_of("counts: 7", "counts") is None
    finally:
        await admin.close()


async def test_what_is_long_over_is_forgotten_with_its_history(scene, receiver):
    await scene.route(await scene.channel("hook", receiver.url))
    await scene.die(1)
    await scene.look()
    await scene.live()
    await scene.watch(7)
    await scene.die(1)
    later = scene.now + timedelta(days=366)

    assert await forget(scene.stage.db, scene.settings, now=scene.now + timedelta(days=300)) == 0
    assert await forget(scene.stage.db, scene.settings, now=later) == 1

    assert await scene.alerts() == []
    for table in ("alert_history", "alert_notice"):
        assert await scene.stage.value(f"select count(*) from {table}") == 0
