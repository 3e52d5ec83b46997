"""Lists for reconciliation: page by page, newest first, within a span of time, by index alone."""

import sqlite3
import time
from typing import Any

from bursar.sandbox import store as kept
from sandboxing import Sandbox

MANY = 20_000
BEGAN = 1_700_000_000
_BODY = '{"id":"ch_%d","object":"charge","created":%d,"amount":%d,"customer":"cus_%d","payment_intent":"pi_%d"}'


async def test_a_list_is_walked_page_by_page_and_back(sandbox: Sandbox) -> None:
    for number in range(7):
        await sandbox.done("POST", "/v1/customers", {"name": f"{number}"})

    first = await sandbox.done("GET", "/v1/customers", {"limit": 3})
    second = await sandbox.done("GET", "/v1/customers", {"limit": 3, "starting_after": first["data"][-1]["id"]})
    third = await sandbox.done("GET", "/v1/customers", {"limit": 3, "starting_after": second["data"][-1]["id"]})
    back = await sandbox.done("GET", "/v1/customers", {"limit": 3, "ending_before": third["data"][0]["id"]})

    names = [[one["name"] for one in page["data"]] for page in (first, second, third, back)]
    assert names == [["6", "5", "4"], ["3", "2", "1"], ["0"], ["3", "2", "1"]]
    assert [page["has_more"] for page in (first, second, third, back)] == [True, True, False, True]


async def test_a_list_refuses_what_it_does_not_know(sandbox: Sandbox) -> None:
    for wrong in ({"limit": 101}, {"starting_after": "cus_nobody"}, {"colour": "red"}, {"created": {"since": 1}}):
        answer = await sandbox.ask("GET", "/v1/customers", wrong)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_many_objects_are_listed_by_index_alone(sandbox: Sandbox) -> None:
    account = sandbox.app.gateway.open_account(sandbox.key)
    connection = sandbox.app.gateway.store.connection
    _fill(connection, account)

    took, page = [], {"data": [], "has_more": True}
    span = {"gte": BEGAN + 5_000, "lt": BEGAN + 6_000}
    seen = 0
    while page["has_more"]:
        form: dict[str, Any] = {"limit": 100, "created": span}
        if page["data"]:
            form["starting_after"] = page["data"][-1]["id"]
        began = time.monotonic()
        page = await sandbox.done("GET", "/v1/charges", form)
        took.append(time.monotonic() - began)
        seen += len(page["data"])

    assert seen == 1000
    assert sorted(took)[len(took) // 2] < 0.25
    for links in ({}, {"customer": "cus_1"}, {"payment_intent": "pi_1"}):
        statement, values = kept.selection(
            account, "charge", links=links, created={"gte": BEGAN}, after=(BEGAN, 1), before=None, limit=101
        )
        plan = [row[3] for row in connection.execute(f"explain query plan {statement}", values)]
        assert [step for step in plan if "SCAN" in step or "TEMP" in step] == [], plan


def _fill(connection: sqlite3.Connection, account: str) -> None:
    rows = ((account, f"ch_{n}", "charge", BEGAN + n, _BODY % (n, BEGAN + n, n, n % 1000, n)) for n in range(MANY))
    connection.execute("begin")
    connection.executemany("insert into object (account, id, kind, created, body) values (?, ?, ?, ?, ?)", rows)
    connection.execute("commit")
