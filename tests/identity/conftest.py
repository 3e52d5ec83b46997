"""The API's world of two businesses, for tests of who people are."""

from api.conftest import lived_world, world

__all__ = ["lived_world", "world"]
