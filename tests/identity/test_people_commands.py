"""`bursar user` and `bursar operator`: people added and let in again where there is no mail and nobody signed in yet."""

import json
from datetime import UTC, datetime

import pytest

from bursar.kernel import ids
from bursar.kernel.identity.choosing import choose_by_link
from bursar.kernel.identity.passwords import Passwords
from bursar.kernel.identity.people import Device
from commanding import command, installation
from stage import Stage, set_stage

pytestmark = pytest.mark.anyio

PASSWORD = "nine green bottles on a wall"


class Line:
    """The command line of an installation."""

    def __init__(self, stage: Stage, admin_url: str) -> None:
        self.stage = stage
        self.environment = installation(stage.url, admin_url) | {"BURSAR_PUBLIC_URL": "https://pay.example.org"}

    def say(self, *arguments: str) -> tuple[int, dict]:
        done = command(*arguments, "--json", **self.environment)
        told = json.loads(done.out)
        return done.code, told.get("error", told)

    def user(self, command: str, *arguments: str) -> tuple[int, dict]:
        return self.say("user", command, "--tenant", ids.show(ids.TENANT, self.stage.tenant_id), *arguments)


@pytest.fixture
async def line(db, database_url, admin_url) -> Line:
    return Line(await set_stage(db, database_url), admin_url)


async def test_a_person_is_added_changed_let_in_again_and_deactivated(line):
    ann = ("--email", "ann@example.com")

    code, added = line.user("add", *ann, "--name", "Ann", "--role", "owner")
    assert code == 0
    base, _, token = added.pop("link").partition("?token=")
    assert base == "https://pay.example.org/accept"
    told = {"password": PASSWORD, "device": Device.of("", ""), "now": datetime.now(UTC)}
    await choose_by_link(line.stage.db, Passwords(), text=token, **told)
    assert line.user("list")[1]["data"] == [added | {"status": "active", "is_email_verified": True}]

    assert line.user("deactivate", *ann)[1]["code"] == "last_owner"
    line.user("add", "--email", "bob@example.com", "--name", "Bob", "--role", "owner")
    assert line.user("roles", *ann, "--role", "staff", "--role", "support")[1]["roles"] == ["staff", "support"]
    _, reset = line.user("reset-password", *ann, "--second-factor")
    await choose_by_link(line.stage.db, Passwords(), text=reset["link"].partition("token=")[2], **told)
    assert line.user("deactivate", *ann)[1]["status"] == "deactivated"

    assert line.user("roles", *ann, "--role", "owner")[1]["code"] == "user_deactivated"
    assert line.user("reset-password", "--email", "nobody@example.com")[1]["code"] == "user_not_found"
    assert line.user("add", "--email", "x", "--name", "X", "--role", "owner")[1]["code"] == "email_invalid"
    assert line.user("add", "--email", "c@example.com", "--name", "C", "--role", "boss")[1]["code"] == "role_unknown"


async def test_operators_are_added_listed_let_in_again_and_deactivated(line):
    olga = ("--email", "Olga@example.com")

    code, added = line.say("operator", "add", *olga)
    assert code == 0
    assert added["link"].startswith("https://pay.example.org/operator/accept?token=")
    assert line.say("operator", "add", "--email", "olga@EXAMPLE.com")[1]["code"] == "operator_exists"
    assert line.say("operator", "reset-password", *olga)[1]["link"] != added["link"]
    assert line.say("operator", "deactivate", *olga)[1] == {"id": added["id"], "status": "deactivated"}
    [listed] = line.say("operator", "list")[1]["data"]
    assert (listed["id"], listed["status"]) == (added["id"], "deactivated")
    code, refused = line.say("operator", "reset-password", *olga)
    assert (code, refused["code"]) == (1, "operator_not_found")
