"""The two businesses of the API's tests."""

from api.conftest import world

__all__ = ["world"]
