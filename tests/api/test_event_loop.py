"""Requests are answered on the event loop: what a route depends on is sent to no thread."""

import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/prices", "/v1/customers", "/health/ready"])
async def test_no_request_is_sent_to_a_thread(world, monkeypatch, path):
    def refuse(*_, **__):
        raise AssertionError("sent to a thread")

    monkeypatch.setattr("fastapi.dependencies.utils.run_in_threadpool", refuse)
    monkeypatch.setattr("fastapi.routing.run_in_threadpool", refuse)

    answer = await world.mine.get(path)

    assert answer.status_code == 200
