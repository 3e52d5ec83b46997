"""What is shipped for deploying is well-formed by its own tools, and names settings and commands that there are."""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from bursar.cli import supervisor
from bursar.cli.running import root_of
from bursar.cli.supervisor import PROCESSES, REHEARSING
from bursar.kernel.settings import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))
PROGRAM = "/opt/bursar/.venv/bin/bursar"
NOT_SETTINGS = {"DOMAIN", "UPSTREAM", "IMAGE", "OWNER_PASSWORD", "LOGIN_PASSWORD", "BACKUP_DIRECTORY"}
"""What compose and the proxy are told, and Bursar is not."""
TIGHT = re.compile(r"User|Group|NoNew|Protect|Private|Restrict|Lock|SystemCall|Capability|UMask")


def run(tool: str, *arguments: object, **environment: str) -> None:
    """Run a linter, beside our Python or on the path; skip where it is not installed."""
    beside = Path(sys.executable).with_name(tool)
    found = str(beside) if beside.exists() else shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, check=False, env=os.environ | environment
    )

    assert done.returncode == 0, done.stdout + done.stderr


def parts() -> list[dict[str, Any]]:
    """Return every object of the manifests."""
    return [part for one in MANIFESTS for part in yaml.safe_load_all(one.read_text())]


def pods() -> list[dict[str, Any]]:
    specs = [part["spec"].get("jobTemplate", part)["spec"] for part in parts() if "spec" in part]
    return [spec["template"]["spec"] for spec in specs if "template" in spec]


def commands_run() -> dict[str, list[tuple[str, ...]]]:
    """Return what each kind of deployment has Bursar do, as it stands after the program's name."""
    services = yaml.safe_load(COMPOSE.read_text())["services"].values()
    starts = [line for unit in UNITS for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    return {
        "compose": [tuple(service["command"]) for service in services if "command" in service],
        "kubernetes": [tuple(container["args"]) for pod in pods() for container in pod["containers"]],
        "systemd": [tuple(start.split()[1:]) for start in starts],
    }


def parse(line: tuple[str, ...]) -> None:
    """Let the command line understand a call, and not do it. Raises what it raises at a call that it does not understand."""
    command = typer.main.get_command(root_of(line[0]))
    context, rest = command.make_context("bursar", list(line)), list(line)
    while isinstance(command, TyperGroup):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, found.make_context(name, list(rest), parent=context)


def test_the_compose_file_fits_the_compose_specification():
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_the_manifests_fit_kubernetes():
    assert len(MANIFESTS) == 7
    run("kubernetes-validate", "--strict", *MANIFESTS)


def test_the_proxys_configuration_is_valid(tmp_path):
    run(
        "caddy", "validate", "--adapter", "caddyfile", "--config", DEPLOY / "caddy" / "Caddyfile",
        XDG_DATA_HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path),
    )  # fmt: skip


def test_the_units_are_valid(tmp_path):
    units = []
    for unit in UNITS:
        text = unit.read_text()
        assert PROGRAM in text
        units.append(tmp_path / unit.name.replace("@", "@one"))
        for name in {unit.name, units[-1].name}:
            (tmp_path / name).write_text(text.replace(PROGRAM, "/bin/true"))

    for timer in TIMERS:
        units.append(tmp_path / timer.name)
        units[-1].write_text(timer.read_text())
        assert timer.with_suffix(".service") in UNITS

    assert len(TIMERS) == 1
    run("systemd-analyze", "verify", *units)


def test_every_setting_that_is_named_is_one():
    texts = {path: path.read_text() for path in DEPLOY.rglob("*") if path.is_file()}
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS

    named = {(path.name, name) for path, text in texts.items() for name in re.findall(r"\bBURSAR_([A-Z0-9_]+)", text)}

    assert {(path, name) for path, name in named if name not in known} == set()
    assert len(named) > 20


def test_every_process_that_up_runs_is_run_by_each_kind():
    expected = {("migrate",)} | {command for kind, command in PROCESSES.items() if kind not in REHEARSING}

    commands = commands_run()

    assert set(commands["compose"]) == expected
    assert set(commands["kubernetes"]) == expected
    assert set(commands["systemd"]) == expected | {("up", "--no-demo")}
    assert {kind: len(lines) for kind, lines in commands.items()} == {"compose": 6, "kubernetes": 6, "systemd": 7}


def test_up_runs_nothing_but_what_is_named_as_its_processes():
    tree = ast.parse(inspect.getsource(supervisor))

    made = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Child"]
    named = {
        ast.literal_eval(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_child"
    }

    assert [ast.unparse(node.args[1]) for node in made] == ["(*PROCESSES[kind], *options)"]
    assert named == PROCESSES.keys()
    assert PROCESSES.keys() > REHEARSING


def test_every_command_line_is_understood():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    shipped = json.loads(re.findall(r"^CMD (.+)$", dockerfile, re.MULTILINE)[0])

    lines = {line for kind in commands_run().values() for line in kind} | {tuple(shipped)}

    for line in sorted(lines):
        parse(line)
    with pytest.raises(Exception, match="No such command 'runs'"):
        parse(("backup", "runs"))
    with pytest.raises(Exception, match="No such option: --aply"):
        parse(("retention", "--aply"))


def test_what_must_be_alone_is_alone():
    """Two would each stream the log into the store, or tell everything twice."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    deployments = {part["metadata"]["name"]: part["spec"] for part in parts() if part["kind"] == "Deployment"}

    for name in ("backups", "alerts"):
        assert "deploy" not in services[name]
        assert deployments[f"bursar-{name}"]["replicas"] == 1
        assert deployments[f"bursar-{name}"]["strategy"] == {"type": "Recreate"}
        assert (DEPLOY / "systemd" / f"bursar-{name}.service").exists()
        assert f"bursar-{name}.service" in (DEPLOY / "systemd" / "bursar-up.service").read_text()


def test_all_units_are_held_as_tightly():
    held = {unit.name: {line for line in unit.read_text().splitlines() if TIGHT.match(line)} for unit in UNITS}

    assert [name for name, lines in held.items() if lines != held["bursar-api.service"]] == []
    assert len(held["bursar-api.service"]) == 17


def test_the_owners_address_is_for_those_who_need_it():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    needy = {"migrate", "backups", "retention"}

    by_compose = {name for name, one in services.items() if "BURSAR_DATABASE_ADMIN_URL" in one.get("environment", {})}
    by_units = {
        unit.stem.removeprefix("bursar-") for unit in UNITS if re.search(r"(migrate|backup)\.env", unit.read_text())
    }
    by_pods = {
        container["name"]
        for pod in pods()
        for container in pod["containers"]
        if {one["secretRef"]["name"] for one in container["envFrom"] if "secretRef" in one}
        & {"bursar-owner", "bursar-backup"}
    }

    assert by_compose == by_units == by_pods == needy
    assert services["api"]["environment"]["BURSAR_ALERT_URLS"].startswith("${BURSAR_ALERT_URLS:?")
    assert services["backups"]["environment"]["BURSAR_BACKUP_STORE"].startswith("${BURSAR_BACKUP_STORE:?")


def test_nothing_runs_as_root_and_secrets_are_asked_for():
    services = yaml.safe_load(COMPOSE.read_text())["services"]

    assert all("User=bursar" in unit.read_text() for unit in UNITS)
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods())
    assert re.search(r"^USER 10001", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert services["api"]["environment"]["BURSAR_SECRET_KEY"] == "${BURSAR_SECRET_KEY:?}"
    assert "BURSAR_DATABASE_ADMIN_URL" not in services["api"]["environment"]
    filled = [
        line
        for line in (DEPLOY / "compose" / "example.env").read_text().splitlines()
        if re.match(r".*(PASSWORD|KEY)=.+", line) and not line.startswith("#")
    ]
    assert filled == []
