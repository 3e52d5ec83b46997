"""What is shipped for deploying is well-formed by its own tools, and names settings and commands that there are."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bursar.cli.commands import COMMANDS
from bursar.kernel.settings import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PROGRAM = "/opt/bursar/.venv/bin/bursar"
NOT_SETTINGS = {"DOMAIN", "UPSTREAM", "IMAGE", "OWNER_PASSWORD", "LOGIN_PASSWORD"}
"""What compose and the proxy are told, and Bursar is not."""


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


def test_the_compose_file_fits_the_compose_specification():
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_the_manifests_fit_kubernetes():
    assert len(MANIFESTS) == 4
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

    run("systemd-analyze", "verify", *units)


def test_every_setting_that_is_named_is_one():
    texts = {path: path.read_text() for path in DEPLOY.rglob("*") if path.is_file()}
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS

    named = {(path.name, name) for path, text in texts.items() for name in re.findall(r"\bBURSAR_([A-Z_]+)", text)}

    assert {(path, name) for path, name in named if name not in known} == set()
    assert len(named) > 20


def test_every_command_that_is_run_is_one():
    services = yaml.safe_load(COMPOSE.read_text())["services"].values()
    pods = [
        part["spec"]["template"]["spec"]
        for one in MANIFESTS
        for part in yaml.safe_load_all(one.read_text())
        if "template" in part.get("spec", {})
    ]
    lines = [line for unit in UNITS for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]

    run_by = [service["command"][0] for service in services if "command" in service]
    run_by += [container["args"][0] for pod in pods for container in pod["containers"]]
    run_by += [line.split()[1] for line in lines]

    assert sorted(set(run_by)) == ["migrate", "serve", "up", "worker"]
    assert set(run_by) <= COMMANDS.keys()
    assert len(run_by) == 3 + 3 + 4


def test_nothing_runs_as_root_and_secrets_are_asked_for():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    pods = [
        part["spec"]["template"]["spec"]
        for one in MANIFESTS
        for part in yaml.safe_load_all(one.read_text())
        if "template" in part.get("spec", {})
    ]

    assert all("User=bursar" in unit.read_text() for unit in UNITS)
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods)
    assert re.search(r"^USER 10001", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert services["api"]["environment"]["BURSAR_SECRET_KEY"] == "${BURSAR_SECRET_KEY:?}"
    assert "BURSAR_DATABASE_ADMIN_URL" not in services["api"]["environment"]
    filled = [
        line
        for line in (DEPLOY / "compose" / "example.env").read_text().splitlines()
        if re.match(r".*(PASSWORD|KEY)=.+", line) and not line.startswith("#")
    ]
    assert filled == []
