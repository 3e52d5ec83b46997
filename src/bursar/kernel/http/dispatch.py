"""Find the route of a request by the segments of its path, instead of asking every route there is.

The framework asks one route after another, and those of an included router twice; with some hundred routes that is a fifth of a request.
Here routes are kept by their segments, and only those are asked whose segments fit; they still decide themselves, in the order in
which they were declared. So the answer is the framework's own: whatever is found here it would have found, and what is not a plain match
(another method, a slash too many) is left to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi.routing import APIRoute, APIRouter, RouteContext, iter_route_contexts
from starlette._utils import get_route_path
from starlette.convertors import Convertor, FloatConvertor, IntegerConvertor, StringConvertor, UUIDConvertor
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

_WITHIN_ONE: Final = (StringConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)
"""Parameters that have no slash in them."""


class Dispatch:
    """Stands before a router's own search. Routes that are added later are found, those of a router that is included already are not."""

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self._indexed: list[BaseRoute] = []
        self._root = _Node()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the route that the framework would find."""
        if scope["type"] != "http":
            await self._router.app(scope, receive, send)
            return
        scope.setdefault("router", self._router)
        match, found, told = self.find(scope)
        if match is Match.FULL and found:
            scope.update(told)
            await found.answer(scope, receive, send)
        elif match is Match.NONE and not self._router.redirect_slashes:
            await self._router.default(scope, receive, send)
        else:
            await self._router.app(scope, receive, send)

    def find(self, scope: Scope) -> "tuple[Match, Leaf | None, Scope]":
        """Return the first route that takes the request, else the first that has its path; and what it tells of the request."""
        if self._indexed != self._router.routes:
            self._index()
        partial: tuple[Match, Leaf | None, Scope] = (Match.NONE, None, {})
        # A pattern ends before a line feed that ends the path.
        segments = get_route_path(scope).removesuffix("\n").split("/")
        fitting = list(self._root.fitting(segments, 0))
        for leaf in sorted(fitting, key=_place) if len(fitting) > 1 else fitting:
            match, told = leaf.matches(scope)
            if match is Match.FULL:
                return match, leaf, told
            if match is Match.PARTIAL and partial[1] is None:
                partial = match, leaf, told
        return partial

    def _index(self) -> None:
        root = _Node()
        for place, context in enumerate(iter_route_contexts(self._router.routes)):
            root.add(Leaf(place, context))
        self._indexed, self._root = list(self._router.routes), root


@dataclass(frozen=True, slots=True)
class Leaf:
    """A route as its router was included. place: in the order of declaration."""

    place: int
    context: RouteContext

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return what the route itself says of a request."""
        route = self.context.original_route
        if not isinstance(route, APIRoute):
            found: tuple[Match, Scope] = self.context.matches(scope)
            return found
        if route.path_format == self.context.path_format:
            return route.matches(scope)
        match, told = self.context.matches(scope)
        return match, told | {"route": route}

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that the route takes."""
        is_operation = isinstance(self.context.original_route, APIRoute)
        answer: Any = self.context.app if is_operation else self.context.handle
        await answer(scope, receive, send)


@dataclass(slots=True)
class _Node:
    """Routes whose paths begin with the same segments. others: below a segment with a parameter. rest: whatever follows."""

    named: "dict[str, _Node]" = field(default_factory=dict)
    others: "_Node | None" = None
    ends: list[Leaf] = field(default_factory=list)
    rest: list[Leaf] = field(default_factory=list)

    def add(self, leaf: Leaf) -> None:
        node = self
        convertors: dict[str, Convertor[Any]] = getattr(leaf.context, "param_convertors", None) or {}
        for segment in _segments(leaf.context):
            if "{" not in segment:
                node = node.named.setdefault(segment, _Node())
            elif all(isinstance(convertors.get(name), _WITHIN_ONE) for name in _parameters(segment)):
                node.others = node.others or _Node()
                node = node.others
            else:
                node.rest.append(leaf)
                return
        node.ends.append(leaf)

    def fitting(self, segments: Sequence[str], at: int) -> Iterator[Leaf]:
        """Yield every route that may match, and few that do not."""
        yield from self.rest
        if at == len(segments):
            yield from self.ends
            return
        if segments[at] in self.named:
            yield from self.named[segments[at]].fitting(segments, at + 1)
        if self.others:
            yield from self.others.fitting(segments, at + 1)


def _segments(context: RouteContext) -> list[str]:
    """Return the segments of a route's path; for one without a path a parameter that takes everything."""
    return (context.path_format or "{anything}").split("/")


def _parameters(segment: str) -> list[str]:
    return [part.partition("}")[0] for part in segment.split("{")[1:]]


def _place(leaf: Leaf) -> int:
    return leaf.place
