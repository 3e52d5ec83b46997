"""`bursar verify` and `bursar fingerprint`: what they print, and how they exit."""

import json

import asyncpg
import pytest
from histories import CHECKOUT
from scene import play_calmly
from test_verify import do_wrong

from bursar.kernel import ids
from commanding import command, installation

pytestmark = pytest.mark.anyio


def bursar(database_url: str, admin_url: str, *arguments: str) -> tuple[int, str, str]:
    done = command(*arguments, **installation(database_url, admin_url))
    return done.code, done.out, done.err


async def test_verify_says_that_everything_holds(db, database_url, admin_url):
    stage = await play_calmly(db, database_url, CHECKOUT)

    code, said, _ = bursar(database_url, admin_url, "verify", "--all", "--json")

    told = json.loads(said)
    assert code == 0
    assert told["ok"] is True
    assert [tenant["tenant"] for tenant in told["tenants"]] == [ids.show(ids.TENANT, stage.tenant_id)]
    assert all(invariant["ok"] for invariant in told["tenants"][0]["invariants"])
    assert told["installation"][0]["name"] == "rows_have_tenants"


async def test_verify_shows_the_row_and_exits_with_one(db, database_url, admin_url):
    stage = await play_calmly(db, database_url, CHECKOUT)
    await do_wrong(admin_url, "update payment set status = 'failed'")
    tenant = ids.show(ids.TENANT, stage.tenant_id)
    payment = ids.show(ids.PAYMENT, await stage.value("select id from payment"))

    code, said, _ = bursar(database_url, admin_url, "verify", "--tenant", tenant, "--json")
    text_code, text, _ = bursar(database_url, admin_url, "verify", "--tenant", tenant)

    broken = [invariant for invariant in json.loads(said)["tenants"][0]["invariants"] if not invariant["ok"]]
    assert (code, text_code) == (1, 1)
    assert payment in json.dumps(broken)
    assert "BROKEN payments_are_booked" in text
    assert payment in text


async def test_a_desk_is_told_to_write_down_and_a_gateway_where_to_deliver(db, database_url, admin_url):
    tenant = ids.show(ids.TENANT, (await play_calmly(db, database_url, CHECKOUT)).tenant_id)

    desk = bursar(database_url, admin_url, "gateway", "add", "--tenant", tenant, "--gateway", "manual")[1]
    signed = ("--gateway", "stripe", "--signing-secret", "whsec_one")
    gateway = bursar(database_url, admin_url, "gateway", "add", "--tenant", tenant, *signed)[1]

    assert "Deliver to" not in desk
    assert "/v1/manual-payments" in desk
    assert "Deliver to http" in gateway


@pytest.mark.parametrize("arguments", [(), ("--all", "--tenant", "ten_00000000000000000000000000")])
async def test_verify_wants_one_tenant_or_all(database_url, admin_url, arguments):
    code, said, _ = bursar(database_url, admin_url, "verify", *arguments, "--json")

    assert code == 1
    assert json.loads(said)["error"]["code"] == "tenant_or_all"


async def test_fingerprint_prints_every_table(db, database_url, admin_url):
    stage = await play_calmly(db, database_url, CHECKOUT)
    tenant = ids.show(ids.TENANT, stage.tenant_id)

    code, said, _ = bursar(database_url, admin_url, "fingerprint", "--tenant", tenant, "--json")
    _, text, _ = bursar(database_url, admin_url, "fingerprint", "--tenant", tenant)

    told = json.loads(said)
    assert code == 0
    assert told["tables"]["payment"]["rows"] == 1
    assert text.splitlines()[-1] == told["fingerprint"]


async def test_an_unknown_tenant_is_refused(database_url, admin_url):
    for name in ("verify", "fingerprint"):
        stranger = ids.show(ids.TENANT, ids.new())

        code, said, _ = bursar(database_url, admin_url, name, "--tenant", stranger, "--json")

        assert code == 1
        assert json.loads(said)["error"]["code"] == "tenant_not_found"


@pytest.mark.parametrize("arguments", [["fingerprint"], ["fingerprint", "--colour", "red"], ["paint"]])
async def test_a_wrong_call_is_refused_as_json_too(database_url, admin_url, arguments):
    code, said, complained = bursar(database_url, admin_url, *arguments, "--json")

    assert code == 2
    assert json.loads(said)["error"]["code"] == "usage_invalid"
    assert complained
    assert bursar(database_url, admin_url, *arguments)[:2] == (2, "")


async def test_doctor_advises_only_where_something_is_not_well(database_url, admin_url):
    _, said, _ = bursar(database_url, admin_url, "doctor", "--json")

    checks = json.loads(said)["checks"]
    assert len(checks) > 5
    assert all(bool(check["advice"]) is not check["ok"] for check in checks)


async def test_doctor_judges_backups_as_health_does(database_url, admin_url):
    connection = await asyncpg.connect(admin_url)
    await connection.execute("""update backup_standing set is_wanted = true, log_kept_at = now() - interval '1 hour',
      log_proven_at = now(), backed_up_at = now()""")
    await connection.close()

    code, said, _ = bursar(database_url, database_url, "doctor", "--json")

    checks = {check["check"]: check for check in json.loads(said)["checks"]}
    assert code == 1
    assert not checks["backups"]["ok"]
    assert checks["backups"]["found"] == "backups are late: the log in the store"
    assert "bursar up" in checks["backups"]["advice"]
