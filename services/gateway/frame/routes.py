"""Routes with their inputs and answers: the same declaration serves a route and describes it in the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web

from services.gateway.frame.credentials import Guard
from services.gateway.frame.query import Query

C = TypeVar("C")  # a call: the request, its user, and what handlers need
Handler = Callable[[C], Awaitable[web.StreamResponse]]
Admit = Callable[[Guard, web.Request], Awaitable[C]]  # raises RequestError (401, 403), Unavailable


@dataclass(frozen=True, slots=True)
class Route(Generic[C]):
    """``body`` and ``answers`` are types that pydantic can describe; None stands for an empty answer.

    ``form`` are fields of a form, each of which may stand in the query string too.
    """

    methods: tuple[str, ...]
    path: str
    handler: Handler[C]
    summary: str
    group: str
    query: type[Query] | None
    body: Any
    answers: Mapping[int, Any]
    failures: tuple[int, ...]
    guard: Guard
    form: type[Query] | None
    name: str

    @property
    def spellings(self) -> tuple[str, str]:
        """The path with and without a trailing slash."""
        plain = self.path.rstrip("/")
        return plain, plain + "/"


@dataclass(slots=True)
class Routes(Generic[C]):
    """The routes of one group, collected by decorators."""

    group: str
    guard: Guard = Guard.API
    routes: list[Route[C]] = field(default_factory=list)

    def __call__(
        self,
        methods: str,
        path: str,
        *,
        answers: Mapping[int, Any],
        query: type[Query] | None = None,
        body: Any = None,
        form: type[Query] | None = None,
        failures: tuple[int, ...] = (),
        guard: Guard | None = None,
    ) -> Callable[[Handler[C]], Handler[C]]:
        """``methods`` are separated by spaces; the first line of the handler's docstring is the summary."""

        def register(handler: Handler[C]) -> Handler[C]:
            admits = guard or self.guard
            refusals = failures if body is None and form is None else (*failures, 415)
            self.routes.append(
                Route(
                    methods=tuple(methods.split()),
                    path=path,
                    handler=handler,
                    summary=(handler.__doc__ or "").strip().splitlines()[0],
                    group=self.group,
                    query=query,
                    body=body,
                    answers=answers,
                    failures=refusals if admits is Guard.NONE else (*refusals, 401, 403),
                    guard=admits,
                    form=form,
                    name=handler.__name__,
                )
            )
            return handler

        return register


def add_routes(app: web.Application, groups: Sequence[Routes[C]], admit: Admit[C]) -> None:
    """Mount every route in both spellings behind its guard. Other methods of a known path are answered 405."""
    by_path: dict[str, list[Route[C]]] = {}
    for group in groups:
        for route in group.routes:
            for spelling in route.spellings:
                by_path.setdefault(spelling, []).append(route)
    for path, routes in by_path.items():
        allowed = sorted({method for route in routes for method in route.methods})
        resource = app.router.add_resource(path)
        for route in routes:
            for method in route.methods:
                resource.add_route(method, _guarded(route.handler, route.guard, admit))
        # Without this route, `GET /api/jobs/start_job` would match `/api/jobs/{id}`.
        resource.add_route("*", _refuse_method(allowed))


def _guarded(handler: Handler[C], guard: Guard, admit: Admit[C]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(await admit(guard, request))

    return handle


def _refuse_method(allowed: list[str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, allowed)

    return refuse
