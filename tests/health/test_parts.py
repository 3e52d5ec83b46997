"""What was seen, judged: each fault has its verdict, and every part that is not healthy says what to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from bursar import health
from bursar.backups import Ages
from bursar.health.standing import Mail, Outside, Seldom, Server
from bursar.kernel.settings import Settings

CALM_SERVER = Server(0.01, False, 12, 100, 1000, False, False, None, 0, 0.0, 0, 0, 0.0)
CALM_SELDOM = Seldom(0.0, 0, {"stripe": Outside(3, {})}, 0, {}, 5.0)
CALM = health.Standing(
    0, 0, 0, 0, 0.0, {}, 0.003, {}, 0.0, Mail(0, 0, 0.0), CALM_SERVER, Ages(False, False, None, None, None), CALM_SELDOM
)
HERE = health.Machine(50_000_000_000, 100_000_000_000, 4_000_000_000, 8_000_000_000, 100_000_000)


def server(**found):
    return {"server": replace(CALM_SERVER, **found)}


def seldom(**found):
    return {"seldom": replace(CALM_SELDOM, **found)}


SEEN = [
    ("database", "degraded", {"latency_s": 0.7}),
    ("database", "degraded", server(connections=95)),
    ("database", "degraded", server(transactions_unfrozen=1_600_000_000)),
    ("database", "unhealthy", server(is_standby=True)),
    ("replication", "degraded", server(standbys=1, standby_lag_s=90.0)),
    ("replication", "degraded", server(slots_idle=1, slots_held_bytes=2e10)),
    ("archive", "degraded", server(is_archiving=True, is_archive_failing=True)),
    ("clock", "degraded", server(skew_s=-3.0)),
    ("clock", "unhealthy", server(skew_s=400.0)),
    ("queue", "degraded", {"oldest_s": 61.0}),
    ("queue", "unhealthy", {"oldest_s": 3601.0}),
    ("dead_letters", "degraded", {"dead": 3, "dead_lately": 1}),
    ("jobs", "degraded", {"jobs_oldest_s": 301.0}),
    ("jobs", "unhealthy", {"jobs_oldest_s": 3601.0}),
    ("gateway:stripe", "degraded", seldom(gateways={"stripe": Outside(3, {"open": 1}, 12.0)})),
    ("mail", "degraded", {"mail": Mail(1, 0, 301.0)}),
    ("mail", "degraded", {"mail": Mail(1, 1, 0.0)}),
    ("audit", "degraded", seldom(unsealed_s=301.0)),
    ("reconciliation", "degraded", seldom(not_reconciled=1)),
    ("retention", "degraded", seldom(retention="raw bodies were last cleaned up 3 days ago")),
    ("figures", "degraded", seldom(figures_age_s=1801.0)),
    ("backups", "degraded", {"backups": Ages(True, False, 1000.0, 1.0, 1.0)}),
    ("backups", "degraded", {"backups": Ages(True, False, None, None, None, 61.0, up_s=61.0)}),
    ("backups", "degraded", {"backups": Ages(True, "refused", None, None, None, 2.0, up_s=5.0)}),
]
MACHINES = [
    ("disk", "degraded", {"disk_free": 900_000_000}),
    ("disk", "unhealthy", {"disk_free": 90_000_000}),
    ("memory", "degraded", {"memory_available": 300_000_000}),
]


NOBODY = health.Issuers()


def not_well(standing=CALM, here=HERE, issuers=NOBODY):
    return [part for part in health.parts_of(standing, here, issuers, Settings()) if part.status != "healthy"]


def test_a_calm_installation_is_healthy():
    assert not_well() == []
    assert health.worst(health.parts_of(CALM, HERE, health.Issuers(), Settings())) == "healthy"


@pytest.mark.parametrize(("name", "status", "found"), SEEN)
def test_what_is_seen_of_the_database_is_judged(name, status, found):
    parts = not_well(replace(CALM, **found))

    assert [(part.name, part.status) for part in parts] == [(name, status)]
    assert all(part.detail and part.advice for part in parts)


@pytest.mark.parametrize(
    "found",
    [
        Ages(True, None, None, None, None, 2.0, up_s=90.0),
        Ages(True, None, 600_000.0, 600_000.0, 600_000.0, 900_000.0, 600_000.0, up_s=5.0),
    ],
)
def test_the_first_minute_of_an_installation_or_after_a_week_off_is_no_reason_to_wake_anybody(found):
    assert not_well(replace(CALM, backups=found)) == []


@pytest.mark.parametrize(("name", "status", "found"), MACHINES)
def test_what_is_left_of_the_machine_is_judged(name, status, found):
    parts = not_well(here=replace(HERE, **found))

    assert [(part.name, part.status) for part in parts] == [(name, status)]
    assert all(part.detail and part.advice for part in parts)


def test_identity_providers_that_do_not_answer_degrade():
    [part] = not_well(issuers=health.Issuers(asked=2, silent=1))

    assert (part.name, part.status) == ("sign_in", "degraded")
    assert part.advice


def test_a_database_that_cannot_be_asked_is_unhealthy_and_the_machine_is_told_of_all_the_same():
    parts = health.parts_of(health.DatabaseSlow("no answer"), HERE, health.Issuers(), Settings())

    assert [(part.name, part.status) for part in parts] == [
        ("database", "unhealthy"),
        ("disk", "healthy"),
        ("memory", "healthy"),
    ]
    assert parts[0].advice
    assert health.worst(parts) == "unhealthy"


def test_this_machine_is_looked_at(tmp_path: Path):
    here = health.machine(tmp_path / "not" / "there" / "yet")

    assert 0 < here.disk_free <= here.disk_total
    assert here.memory_available is None or 0 < here.memory_available <= here.memory_total
