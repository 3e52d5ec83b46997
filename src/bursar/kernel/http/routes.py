"""Routes that read strictly. Apart from the rest of `kernel.http`, because only the API needs FastAPI, which is slow to import."""

import warnings
from collections.abc import Awaitable, Callable, Coroutine
from threading import RLock
from typing import Any, Final

from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path, get_name

from bursar.kernel.errors import DomainError, FieldError, Invalid
from bursar.kernel.http.bodies import BODY_BYTES_MAX, MediaTypeUnsupported, StrictRequest
from bursar.kernel.http.suspicion import Suspicion, suspicions_of_address, suspicions_of_json

# Forms are built when they are first needed (`defer_build`); FastAPI ignores this warning of its own only when it builds them at once.
warnings.simplefilter("ignore", category=UnsupportedFieldAttributeWarning)

_analysing: Final = RLock()


class LateRoute(APIRoute):
    """A route that the framework analyses when it is first asked, in a few milliseconds: there are hundreds, and a start waits for none.

    What a request is matched by is known at once; any other attribute is there as soon as it is read.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        self._given: dict[str, Any] | None = given
        self.path = path
        self.endpoint = endpoint
        self.name = given.get("name") or get_name(endpoint)
        self.methods = {method.upper() for method in given.get("methods") or ("GET",)}
        self.include_in_schema = given.get("include_in_schema", True)
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)

    def __getattr__(self, name: str) -> Any:
        """Analyse the route, and return what was missing. Asked only for attributes that are not there."""
        with _analysing:  # the API's description is written in another thread
            given, self._given = self.__dict__.get("_given"), None
            if given is not None:
                try:
                    super().__init__(self.path, self.endpoint, **given)
                except BaseException:
                    self._given = given
                    raise
        return object.__getattribute__(self, name)


class StrictRoute(LateRoute):
    """A route that reads its body strictly and refuses query parameters that it does not have."""

    bytes_max = BODY_BYTES_MAX
    """The largest body that it takes."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        # The description calls an operation by its function's name.
        super().__init__(path, endpoint, **given | {"generate_unique_id_function": _name_of})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_query = any(d.query_params for d in _dependants(self.dependant))

        async def strict(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            request.bytes_max = self.bytes_max
            try:
                await self.admit(request)
                await self._suspect(request, "address", suspicions_of_address(request.url.path, request.url.query))
                if request.url.query and not takes_query:
                    raise _takes_no_query(request)
                if self.takes_body and await request.body():
                    await self._suspect(request, "body", suspicions_of_json(await _read_json(request)))
                return await self.answer(request, handle)
            except DomainError as refusal:
                await self.refused(request, refusal)
                raise

        return strict

    async def admit(self, request: Request) -> None:
        """Refuse the request before its body is read. Routes that need to know the caller say who may pass."""

    async def refused(self, request: Request, refusal: DomainError) -> None:
        """Be told of a refusal on its way out. Routes that know the caller say what it tells of them."""

    async def answer(self, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer an admitted request whose body has been checked. Routes that remember answers put theirs around it."""
        return await handle(request)

    @property
    def takes_body(self) -> bool:
        return self.body_field is not None

    async def suspected(self, request: Request, where: str, found: frozenset[Suspicion]) -> None:
        """Be told that the address or the body looks like an attack. Nothing is refused for that."""

    async def _suspect(self, request: Request, where: str, found: frozenset[Suspicion]) -> None:
        if found:
            await self.suspected(request, where, found)


def _name_of(route: APIRoute) -> str:
    return route.name


def _takes_no_query(request: Request) -> Invalid:
    names = [FieldError(name[:64], "unknown_field", "not known here") for name in request.query_params]
    return Invalid("this path takes no query parameters", fields=tuple(names))


async def _read_json(request: StrictRequest) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise MediaTypeUnsupported("the body is not declared to be JSON", hint="Send Content-Type: application/json.")
    return await request.json()


def _dependants(dependant: Any) -> list[Any]:
    return [dependant, *(inner for child in dependant.dependencies for inner in _dependants(child))]
