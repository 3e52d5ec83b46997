"""Whatever is wrong with a database or its address, a command says it in one line and fails; it never shows its insides."""

import asyncio
import json
import sys
from urllib.parse import urlsplit

import asyncpg
import pytest

from bursar import cli
from commanding import command

COMMANDS = [
    ("migrate",),
    ("tenant", "list"),
    ("verify", "--all"),
    ("events", "list", "--tenant", "ten_01m7ym6j8veyd83hehh8nmaj66"),
    ("doctor",),
    ("demo",),
]
NOT_ADDRESSES = ("hello", "mysql://root@localhost/x", "postgresql://a@127.0.0.1:hello/x", "postgresql://[::1/x")


def refused(directory, *arguments: str, **environment: str) -> tuple[dict, str]:
    done = command(*arguments, "--data", str(directory), "--json", **environment)
    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.err
    return json.loads(done.out), done.err


@pytest.mark.parametrize("address", NOT_ADDRESSES)
def test_what_is_no_address_is_refused_by_name(tmp_path, address):
    said, complained = refused(tmp_path, "tenant", "list", BURSAR_DATABASE_URL=address)

    assert said["error"]["code"] == "settings_invalid"
    assert "BURSAR_DATABASE_URL is no address" in complained
    assert complained.count("\n") == 1


def test_a_setting_of_the_wrong_kind_is_refused_by_name(tmp_path):
    said, complained = refused(tmp_path, "doctor", BURSAR_PORT="abc")

    assert said["error"]["code"] == "settings_invalid"
    assert "BURSAR_PORT" in complained


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_login_without_rights_is_told_what_to_do(tmp_path, admin_url, command):
    role = f"poor_{urlsplit(admin_url).path[1:]}"
    asyncio.run(_run(admin_url, f"create role {role} login password 'x'"))
    try:
        netloc = f"{role}:x@{urlsplit(admin_url).netloc.rpartition('@')[2]}"
        poor = urlsplit(admin_url)._replace(netloc=netloc).geturl()
        said, _ = refused(tmp_path, *command, BURSAR_DATABASE_URL=poor)
    finally:
        asyncio.run(_run(admin_url, f"drop role {role}"))

    if command[0] == "doctor":
        assert {check["check"] for check in said["checks"] if not check["ok"]} >= {"roles"}
    else:
        assert said["error"]["code"] in ("database_forbidden", "database_roles_missing")
        assert "BURSAR_DATABASE_ADMIN_URL" in said["error"]["hint"]


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path):
    place = tmp_path / "file"
    place.write_text("not a directory")

    said, complained = refused(place / "data", "up", "--no-demo")

    assert said["error"]["code"] == "files_failed"
    assert str(place) in complained


def test_ctrl_c_while_a_command_is_loading_is_no_traceback(monkeypatch):
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt(name)

    monkeypatch.setattr(cli, "import_module", interrupted)
    monkeypatch.setattr(sys, "argv", ["bursar", "up"])

    with pytest.raises(SystemExit) as left:
        cli.main()

    assert left.value.code == 130
