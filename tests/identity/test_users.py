"""Users over the API: invited, given roles, deactivated; nobody above themselves, and never the last owner."""

import pytest

from api.operations import signed_in

pytestmark = pytest.mark.anyio

ANN = {"email": "Ann@Example.com", "name": "Ann Abara", "roles": ["owner"]}


async def invited(caller, **more):
    answer = await caller.post("/v1/users", ANN | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_invited_user_is_listed_and_a_letter_waits(world):
    user = await invited(world.mine)

    assert user | {"id": "", "created_at": ""} == ANN | {
        "id": "",
        "created_at": "",
        "status": "invited",
        "is_email_verified": False,
        "has_second_factor": False,
    }
    assert await world.mine.data("/v1/users") == [user]
    assert await world.mine.data("/v1/users", email="ANN@example.COM") == [user]
    assert await world.theirs.data("/v1/users") == []
    assert await world.mine.stage.row("select kind, email from mail_message") == {
        "kind": "invitation",
        "email": "ann@example.com",
    }
    record = await world.mine.stage.row("select action, subject, actor from audit_record where action like 'user.%'")
    assert (record["action"], record["subject"]) == ("user.invited", user["id"])
    assert record["actor"].startswith("key:")


async def test_an_address_is_one_user_whatever_its_case_and_another_business_may_have_it_too(world):
    await invited(world.mine)

    again = await world.mine.post("/v1/users", ANN | {"email": "ann@EXAMPLE.com"})

    assert (again.status_code, again.json()["code"]) == (409, "user_exists")
    assert (await world.theirs.post("/v1/users", ANN)).status_code == 201


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"roles": ["emperor"]}, "role_unknown"),
        ({"roles": []}, "invalid"),
        ({"email": "nobody"}, "invalid"),
        ({"email": "a b@example.com"}, "invalid"),
        ({"email": "ann@example.com@"}, "invalid"),
        ({"email": "a" * 65 + "@example.com"}, "invalid"),
        ({"name": "\u0007"}, "invalid"),
        ({"name": " "}, "invalid"),
    ],
)
async def test_what_is_no_user_is_refused(world, change, code):
    answer = await world.mine.post("/v1/users", ANN | change)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await world.mine.data("/v1/users") == []


async def test_nobody_gives_or_takes_what_they_do_not_have(world):
    owner = await invited(world.mine)
    key = (
        await world.mine.post(
            "/v1/api-keys", {"name": "clerk", "scopes": ["users:read", "users:write", "payments:read"]}
        )
    ).json()["key"]
    clerk = {"authorization": f"Bearer {key}"}

    given = await world.http.post("/v1/users", json=ANN | {"email": "b@example.com"}, headers=clerk)
    taken = await world.http.patch(f"/v1/users/{owner['id']}", json={"roles": ["staff"]}, headers=clerk)
    out = await world.http.post(f"/v1/users/{owner['id']}/deactivations", headers=clerk)

    assert [answer.json()["code"] for answer in (given, taken, out)] == ["more_than_held"] * 3
    assert (await world.mine.get(f"/v1/users/{owner['id']}")).json() == owner


async def test_the_last_owner_stays(world):
    first = await invited(world.mine)

    out = await world.mine.post(f"/v1/users/{first['id']}/deactivations")
    less = await world.mine.send("PATCH", f"/v1/users/{first['id']}", {"roles": ["staff"]})
    assert [answer.json()["code"] for answer in (out, less)] == ["last_owner", "last_owner"]

    await invited(world.mine, email="second@example.com")
    assert (await world.mine.post(f"/v1/users/{first['id']}/deactivations")).json()["status"] == "deactivated"


async def test_other_roles_and_deactivation_end_sessions(world):
    await invited(world.mine)
    user = await invited(world.mine, email="una@example.com", roles=["staff"])
    await signed_in(world.mine.stage, user["id"])

    changed = await world.mine.send("PATCH", f"/v1/users/{user['id']}", {"roles": ["support"]})

    assert changed.json()["roles"] == ["support"]
    assert await world.mine.data("/v1/sessions") == []
    record = await world.mine.stage.value("select changes::text from audit_record where action = 'user.changed'")
    assert "staff" in record
    assert "support" in record

    await signed_in(world.mine.stage, user["id"])
    await world.mine.post(f"/v1/users/{user['id']}/deactivations")
    assert await world.mine.data("/v1/sessions") == []
    again = await world.mine.post(f"/v1/users/{user['id']}/deactivations")
    assert (again.status_code, again.json()["code"]) == (409, "user_deactivated")
    assert (await world.mine.post(f"/v1/users/{user['id']}/reactivations")).json()["status"] == "invited"


async def test_sessions_are_listed_and_revoked_by_their_own_business_only(world):
    user = await invited(world.mine)
    session = await signed_in(world.mine.stage, user["id"])

    [shown] = await world.mine.data("/v1/sessions", user=user["id"])
    assert (shown["id"], shown["user"], shown["user_agent"], shown["address"]) == (
        session,
        user["id"],
        "Browser",
        "192.0.2.7",
    )
    assert await world.theirs.data("/v1/sessions") == []
    assert (await world.theirs.post(f"/v1/sessions/{session}/revocations")).status_code == 404
    assert (await world.theirs.get("/v1/sessions", user=user["id"])).json()["code"] == "filter_not_found"

    assert (await world.mine.post(f"/v1/sessions/{session}/revocations")).json()["status"] == "ended"
    assert (await world.mine.post(f"/v1/sessions/{session}/revocations")).json()["code"] == "session_not_found"
    assert await world.mine.data("/v1/sessions") == []
    assert await world.mine.stage.value("select subject from audit_record where action = 'session.revoked'") == session
