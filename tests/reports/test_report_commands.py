"""`bursar tenant time-zone` and `bursar reports rebuild`: what they print, and what they refuse."""


def test_a_zone_is_shown_and_set_for_one_tenant_alone(bursar):
    mine, theirs = (bursar("tenant", "create", "--name", name)[1]["id"] for name in ("Mine", "Theirs"))

    shown = bursar("tenant", "time-zone", "--tenant", mine)
    changed = bursar("tenant", "time-zone", "--tenant", mine, "Europe/Berlin")
    refused = bursar("tenant", "time-zone", "--tenant", mine, "Mars/Olympus")

    assert shown == (0, {"id": mine, "time_zone": "UTC"})
    assert changed == (0, {"id": mine, "time_zone": "Europe/Berlin"})
    assert (refused[0] != 0, refused[1]["error"]["code"]) == (True, "time_zone_unknown")
    assert bursar("tenant", "time-zone", "--tenant", mine)[1]["time_zone"] == "Europe/Berlin"
    assert bursar("tenant", "time-zone", "--tenant", theirs)[1]["time_zone"] == "UTC"


def test_sums_are_rebuilt_for_one_tenant_or_for_all_and_it_must_be_said(bursar):
    mine, theirs = (bursar("tenant", "create", "--name", name)[1]["id"] for name in ("Mine", "Theirs"))

    one = bursar("reports", "rebuild", "--tenant", mine)
    every = bursar("reports", "rebuild", "--all")

    assert one == (0, {"data": [{"tenant": mine, "rows_put_right": 0}]})
    assert [row["tenant"] for row in every[1]["data"]] == [mine, theirs]
    assert bursar("reports", "rebuild")[1]["error"]["code"] == "tenant_or_all"
    assert bursar("reports", "rebuild", "--tenant", mine, "--all")[1]["error"]["code"] == "tenant_or_all"
