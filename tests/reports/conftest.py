"""The two businesses of the API's tests."""

from api.conftest import shared_world, world

__all__ = ["shared_world", "world"]
