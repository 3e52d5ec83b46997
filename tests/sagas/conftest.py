"""The club of tests of changes, with an expensive membership and a cheap one."""

from changing.conftest import club

__all__ = ["club"]
