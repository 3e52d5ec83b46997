"""Raw bodies lie in months, made ahead; what falls outside them is kept all the same."""

from datetime import UTC, datetime

import asyncpg
import pytest

from bursar.money.intake.partitions import ensure_partitions
from stage import event, session, set_stage

pytestmark = pytest.mark.anyio


async def test_months_are_made_ahead_and_once(admin_url):
    connection = await asyncpg.connect(admin_url)

    made = await ensure_partitions(connection, now=datetime(2031, 12, 5, tzinfo=UTC))
    again = await ensure_partitions(connection, now=datetime(2031, 12, 5, tzinfo=UTC))

    assert (made[0], made[-1], len(made)) == ("gateway_event_body_2031_12", "gateway_event_body_2033_02", 15)
    assert again == []
    await connection.close()


async def test_nobody_reads_a_partition_past_its_parent(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.deliver(event("checkout.session.completed", session()))
    name = f"gateway_event_body_{datetime.now(UTC):%Y_%m}"

    assert await stage.value("select count(*) from gateway_event_body") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stage.rows(f"select count(*) from {name}")


async def test_a_month_without_a_partition_loses_nothing(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    connection = await asyncpg.connect(admin_url)
    await connection.execute(f"drop table gateway_event_body_{datetime.now(UTC):%Y_%m}")

    await stage.tell(event("checkout.session.completed", session()))
    made = await ensure_partitions(connection)

    assert await stage.value("select count(*) from credit_lot") == 1
    assert made == []
    assert await connection.fetchval("select count(*) from gateway_event_body_default") == 1
    await connection.close()
