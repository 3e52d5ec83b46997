"""The pages of alerts: a business's own for its people, the installation's for its operators, and no address shown whole."""

import re
from datetime import UTC, datetime

import httpx2
import pytest
from test_operating_pages import olga  # noqa: F401 - a fixture
from test_people import send
from visitors import Markup, Site

from alerts.receiving import receiving
from bursar.alerts import look
from bursar.alerts.jobs import KINDS
from bursar.kernel import ids
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.settings import Settings
from draining import drain
from serving import KEY

pytestmark = pytest.mark.anyio

SETTINGS = "/alerts/settings"
_DIE = """
insert into job (tenant_id, id, kind, key, idempotency_key, request, state, run_at, error, rested_at)
values ($1, gen_random_uuid(), 'tests.fail', 'k', gen_random_uuid(), '', 'dead', now(), 'no', now())
"""


async def _look(site: Site) -> None:
    url = site.lived.stage.url
    assert await look(site.lived.stage.db, Settings(database_url=url, secret_key=KEY), now=datetime.now(UTC))


async def test_a_business_sees_its_alerts_and_says_who_is_told(site: Site):
    ann = site.lived
    async with ann.stage.db.tenant(ann.stage.tenant_id) as tx:
        await tx.execute(_DIE, ann.stage.tenant_id)
    async with receiving() as receiver:
        assert "Nobody is told" in await ann.page("/alerts")
        refused = await ann.post(SETTINGS, {"act": "add_channel", "name": "Hook", "channel_url": receiver.url})
        assert (refused.status_code, "over https" in refused.text) == (422, True)
        site.app.resources.settings.alert_networks = "127.0.0.0/8"
        added = await ann.post(
            SETTINGS, {"act": "add_channel", "name": "Hook", "channel_url": f"{receiver.url}?k=s3cret"}
        )
        assert (added.status_code, added.headers["location"]) == (303, f"{SETTINGS}?done=saved")
        page = await ann.page(SETTINGS)
        assert "http://127.0.0.1/…" in page
        assert "s3cret" not in page
        channel = re.search(r"row-(alc_[0-9a-z]{26})", page)[1]
        await ann.post(SETTINGS, {"act": "add_route", "rule": "", "severity": "high", "channel": channel, "second": ""})
        assert (await ann.post(SETTINGS, {"act": "test", "channel": channel})).headers["location"].endswith("done=sent")

        await _look(site)
        await drain(ann.stage, KINDS, secret_key=KEY, alert_networks="127.0.0.0/8")

    assert sorted(body["what"] for body in receiver.taken) == ["opened", "test"]
    assert "last went well" in await ann.page(SETTINGS)
    alert = re.search(r"/alerts/(alr_[0-9a-z]{26})", await ann.page("/alerts?state=open"))[1]
    text = Markup(await ann.page(f"/alerts/{alert}")).text
    assert "Jobs were given up" in text
    assert "What to do." in text
    assert "the watch" in text
    assert "Hook" in text

    assert (await ann.post(f"/alerts/{alert}", {"act": "acknowledge"})).headers["location"].endswith("acknowledged")
    assert (
        (await ann.post(f"/alerts/{alert}", {"act": "silence", "hours": "8"})).headers["location"].endswith("silenced")
    )
    for act in ({"act": "silence", "hours": "9999999"}, {"act": "nothing"}, {}):
        assert (await ann.post(f"/alerts/{alert}", act)).status_code == 422
    text = Markup(await ann.page(f"/alerts/{alert}")).text
    assert "Silent until" in text
    assert "acknowledged" in text
    assert (await ann.post(f"/alerts/{alert}", {"act": "unsilence"})).headers["location"].endswith("unsilenced")

    assert (await site.empty.get(f"/alerts/{alert}")).status_code == 404
    assert (await site.empty.post(f"/alerts/{alert}", {"act": "acknowledge"})).status_code == 404
    assert (await site.empty.post(SETTINGS, {"act": "remove_channel", "channel": channel})).status_code == 404


async def test_numbers_of_a_rule_are_chosen_on_the_page_and_nonsense_is_refused(site: Site):
    ann = site.lived
    rule = {"act": "rule", "rule": "payment_failures"}

    assert (
        await ann.post(SETTINGS, rule | {"threshold": "40", "window_s": "7200", "severity": "high"})
    ).status_code == 303

    row = await ann.stage.row("select threshold, window_s, severity, is_on from alert_rule")
    assert row == {"threshold": 40.0, "window_s": 7200, "severity": "high", "is_on": None}
    assert 'value="40"' in await ann.page(SETTINGS)
    for bad in (
        {"threshold": "many"},
        {"threshold": "nan"},
        {"threshold": "-1"},
        {"window_s": "1"},
        {"window_s": "9" * 30},
    ):
        assert (await ann.post(SETTINGS, rule | bad)).status_code == 422, bad
    assert (await ann.post(SETTINGS, {"act": "rule", "rule": "backup_failed", "is_on": "no"})).status_code == 404
    assert (await ann.post(SETTINGS, rule)).status_code == 303
    assert await ann.stage.rows("select 1 from alert_rule") == []


async def test_operators_see_the_installation_s_alerts_and_businesses_do_not(site: Site, olga: httpx2.AsyncClient):  # noqa: F811
    async with site.lived.stage.db.tenant(INSTALLATION) as tx:
        await tx.execute(_DIE, INSTALLATION)
    await _look(site)

    page = (await olga.get("/operator/alerts")).text
    alert = re.search(r"/operator/alerts/(alr_[0-9a-z]{26})\">Jobs were given up", page)[1]
    assert (await olga.get(f"/operator/alerts/{alert}")).status_code == 200
    assert (await site.lived.get(f"/alerts/{alert}")).status_code == 404
    done = await send(olga, f"/operator/alerts/{alert}", f"/operator/alerts/{alert}", act="acknowledge")
    assert done.headers["location"] == f"/operator/alerts/{alert}?done=acknowledged"
    settings = "/operator/alerts/settings"
    added = await send(
        olga, settings, settings, act="add_channel", name="Night", channel_url="mailto:night@example.org"
    )
    assert added.status_code == 303
    text = (await olga.get(settings)).text
    assert "n…@example.org" in text
    assert "night@example.org" not in text
    assert (await send(olga, settings, settings, act="rule", rule="disk_low", threshold="5")).status_code == 303
    assert "Night" not in await site.lived.page(SETTINGS)
    assert (await site.lived.get("/operator/alerts")).status_code == 303
    async with site.lived.stage.db.tenant(INSTALLATION) as tx:
        assert await tx.fetchval("select acknowledged_by from alert where id = $1", ids.parse(ids.ALERT, alert))
