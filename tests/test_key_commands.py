"""`bursar key` and `bursar issuer`: what they print, and what they refuse."""

import pytest


def test_a_key_is_added_listed_rotated_and_revoked(bursar):
    tenant = bursar("tenant", "create", "--name", "Shop")[1]["id"]

    _, added = bursar(
        "key", "add", "--tenant", tenant, "--name", "web", "--scope", "payments:read", "--allow", "10.0.0.0/8"
    )
    _, rotated = bursar("key", "rotate", "--tenant", tenant, "--key", added["id"], "--overlap-s", "60")
    _, revoked = bursar("key", "revoke", "--tenant", tenant, "--key", added["id"])
    _, listed = bursar("key", "list", "--tenant", tenant)

    assert added["key"].startswith("bsk_")
    assert (added["scopes"], added["allowed_addresses"]) == (["payments:read"], ["10.0.0.0/8"])
    assert rotated["scopes"] == ["payments:read"]
    assert (revoked["status"], revoked["successor"]) == ("revoked", rotated["id"])
    assert [row["name"] for row in listed["data"]] == ["web", "web", "first key"]
    assert "key" not in listed["data"][0]


def test_a_key_needs_scopes_or_everything_and_instants_need_a_zone(bursar):
    tenant = bursar("tenant", "create", "--name", "Shop")[1]["id"]
    add = ("key", "add", "--tenant", tenant, "--name", "web")

    assert bursar(*add)[1]["error"]["code"] == "api_key_scopes_missing"
    assert bursar(*add, "--scope", "nothing:read")[1]["error"]["code"] == "permission_unknown"
    assert bursar(*add, "--everything", "--expires-at", "2099-01-31")[1]["error"]["code"] == "instant_invalid"
    code, added = bursar(*add, "--everything", "--expires-at", "2099-01-31T12:00:00Z")
    assert (code, added["is_unlimited"], added["expires_at"]) == (0, True, "2099-01-31T12:00:00+00:00")


def test_an_issuer_is_added_listed_and_removed(bursar):
    tenant = bursar("tenant", "create", "--name", "Shop")[1]["id"]
    add = (
        "issuer",
        "add",
        "--tenant",
        tenant,
        "--issuer",
        "https://id.example.org/realms/main",
        "--audience",
        "bursar",
    )
    roles = ("--roles-claim", "realm_access", "--roles-claim", "roles", "--map", "a=b=admin", "--map", "a=b=support")

    _, added = bursar(*add, *roles, "--default-role", "read-only", "--algorithm", "ES256")
    code, again = bursar(*add)
    listed = bursar("issuer", "list", "--tenant", tenant)[1]["data"]
    removed = bursar("issuer", "remove", "--tenant", tenant, "--issuer", added["id"])[0]

    assert added["roles_claim"] == ["realm_access", "roles"]
    assert (added["role_map"], added["default_roles"]) == ({"a=b": ["admin", "support"]}, ["read-only"])
    assert (code, again["error"]["code"]) == (1, "identity_issuer_exists")
    assert listed == [added]
    assert removed == 0
    assert bursar("issuer", "list", "--tenant", tenant)[1]["data"] == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--map", "admin"), "mapping_invalid"),
        (("--algorithm", "HS256"), "algorithm_unknown"),
        (("--default-role", "boss"), "role_unknown"),
        (("--issuer", "http://id.example.org"), "issuer_address_invalid"),
    ],
)
def test_an_issuer_that_makes_no_sense_is_refused(bursar, more, code):
    tenant = bursar("tenant", "create", "--name", "Shop")[1]["id"]
    add = ("issuer", "add", "--tenant", tenant, "--issuer", "https://id.example.org", "--audience", "bursar")

    assert bursar(*add, *more)[1]["error"]["code"] == code
    assert bursar("issuer", "list", "--tenant", tenant)[1]["data"] == []
