"""`bursar customer`: a person exported into a file of one's own, and erased."""

import json
import stat

import pytest
from test_commands import bursar

from bursar.kernel import ids
from stage import event, session, set_stage

pytestmark = pytest.mark.anyio


async def met(db, database_url):
    """Return a stage with one customer who paid, and how commands name both."""
    stage = await set_stage(db, database_url)
    who = {"id": "cus_ann", "object": "customer", "name": "Ada Canary", "email": "ada@canary.example"}
    await stage.tell(event("customer.created", who), event("checkout.session.completed", session()))
    customer = ids.show(ids.CUSTOMER, await stage.value("select id from customer"))
    return stage, ("--tenant", ids.show(ids.TENANT, stage.tenant_id), "--customer", customer)


async def test_export_writes_a_file_that_nobody_else_may_read(db, database_url, admin_url, tmp_path):
    _, named = await met(db, database_url)
    out = tmp_path / "person.json"

    code, said, _ = bursar(database_url, admin_url, "customer", "export", *named, "--out", str(out), "--json")

    told = json.loads(out.read_text())
    assert code == 0
    assert json.loads(said) == {"customers": [named[3]], "bytes": out.stat().st_size, "file": str(out)}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert (told["is_complete"], told["customers"][0]["name"]) == (True, "Ada Canary")
    assert list(tmp_path.iterdir()) == [out]


async def test_erase_asks_whether_you_are_sure_and_a_worker_does_it(db, database_url, admin_url):
    stage, named = await met(db, database_url)
    erase = ("customer", "erase", *named, "--ground", "requested")

    unsure, _, _ = bursar(database_url, admin_url, *erase)
    asked_before = await stage.value("select count(*) from erasure")
    code, said, _ = bursar(database_url, admin_url, *erase, "--yes", "--json")
    await stage.apply()

    assert (unsure, asked_before) == (1, 0)
    assert (code, json.loads(said)["status"]) == (0, "pending")
    assert await stage.row("select name, erased_at is not null as gone from customer") == {"name": None, "gone": True}
    shown = ("--tenant", named[1], "--erasure", json.loads(said)["id"])
    code, said, _ = bursar(database_url, admin_url, "customer", "erasure", *shown, "--json")
    assert (code, json.loads(said)["status"]) == (0, "pending")
