"""A JSON value, level by level: without recursion, so that no depth of it can end the process."""

from collections.abc import Iterator
from typing import Any


def levels(value: Any, *, items_max: int | None = None) -> Iterator[list[Any]]:
    """Yield the items of each depth, the value itself first. items_max: after the level that passes it no more follow."""
    level, seen = [value], 0
    while level and (items_max is None or seen < items_max):
        seen += len(level)
        yield level
        containers = [item.values() if type(item) is dict else item for item in level if type(item) in (dict, list)]
        level = [child for container in containers for child in container]
