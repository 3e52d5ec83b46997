"""Dashboards and rules name only figures that are exported, with labels that they have."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from api.conftest import running
from bursar.bootstrap import JOBS, SCHEDULES
from bursar.kernel.clock import utc_now
from bursar.kernel.jobs import Timetable
from draining import drain
from reports.till import start
from stage import charge, event, session, set_stage, subscription

pytestmark = pytest.mark.anyio

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "bursar.rules.yml"
_NAME = re.compile(r"(?<![\w{/])(?:bursar|process)[:_][a-z0-9_:]+")
_SELECTOR = re.compile(r"((?:bursar|process)_[a-z0-9_]+)\{([^}]*(?:\{[^}]*\}[^}]*)*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_BY = re.compile(r"by \(([^)]*)\)")


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict]:
    return json.loads((DEPLOY / "grafana" / "bursar.json").read_text())["panels"]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [
        target["expr"] for panel in panels() for target in panel.get("targets", ())
    ]


async def scraped(db, url: str) -> str:
    stage = await set_stage(db, url)
    paid = (event("checkout.session.completed", session()), event("charge.succeeded", charge()))
    await stage.tell(*paid, event("customer.subscription.created", subscription()))
    await start(stage, utc_now())
    await Timetable([one for one in SCHEDULES if one.name == "health.figures"]).tend(db)
    await drain(stage, JOBS)
    async with running(url) as (_, http):
        await http.get("/health/live")
        return (await http.get("/metrics")).text


async def test_every_figure_that_is_shown_is_exported_and_every_exported_one_is_shown(db, database_url):
    text = await scraped(db, database_url)
    types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
    exported = {
        f"{name}{end}"
        for name, kind in types.items()
        for end in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    labels = {
        line.partition("{")[0]: set(_LABEL.findall(line))
        for line in text.splitlines()
        if "{" in line and line[0] != "#"
    }

    named = {name for expr in expressions() for name in _NAME.findall(expr)}
    wrong = [
        (name, label)
        for expr in expressions()
        for name, inside in _SELECTOR.findall(expr)
        for label in _LABEL.findall(inside)
        if name in labels and label not in labels[name]
    ]
    known = {"instance", *(label for of in labels.values() for label in of)} | {"gateway", "state", "what", "currency"}
    grouped = {label.strip() for expr in expressions() for inside in _BY.findall(expr) for label in inside.split(",")}

    assert named - exported - recorded == set()
    assert wrong == []
    assert grouped - known == set()
    ours = {name for name in exported if name.startswith("bursar_") and not name.endswith("_created")}
    assert ours - named - {"bursar_http_request_seconds_bucket", "bursar_tenants"} == set(), (
        "exported and shown nowhere"
    )


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    alerts = [rule for rule in rules() if "alert" in rule]

    assert len({alert["alert"] for alert in alerts}) == len(alerts) > 15
    assert {alert["labels"]["severity"] for alert in alerts} == {"critical", "high", "medium"}
    runbooks = re.findall(r"docs/[\w/-]+\.md", RULES.read_text())
    assert all(alert["annotations"]["summary"] and alert["annotations"]["action"] for alert in alerts)
    assert runbooks
    assert all((DEPLOY.parent / page).is_file() for page in runbooks)


def test_panels_say_what_they_show_and_are_numbered_apart():
    shown = [panel for panel in panels() if panel["type"] != "row"]

    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert all(panel["title"] and panel["description"] and panel["targets"] for panel in shown)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is not installed")
def test_prometheus_own_tool_accepts_rules_and_configuration():
    for what in (("rules", RULES), ("config", DEPLOY / "prometheus" / "prometheus.yml")):
        done = subprocess.run(["promtool", "check", *map(str, what)], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
