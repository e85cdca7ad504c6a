"""A call of a handler, and the parts of the gateway that handlers use."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.errors import bad_request
from services.gateway.frame.credentials import Guard
from services.gateway.frame.pages.built import Built
from services.gateway.frame.pages.look import Look
from services.gateway.frame.query import integer
from services.gateway.frame.settings import GatewaySettings
from services.gateway.live.wiring import Live
from services.gateway.metrics.archived import ArchiveReader
from services.gateway.metrics.wall import Walls
from services.gateway.metrics.wiring import MetricServices
from services.gateway.people.addresses import Origin
from services.gateway.people.auth.wiring import Auth
from services.gateway.people.identity import User
from services.gateway.people.users.store import UserStore
from services.gateway.reading.jobs import JobQueries
from services.gateway.reading.nodes import NodeQueries
from services.gateway.writing.commands import Commands
from services.gateway.writing.link import BrokerLink
from services.gateway.writing.tagging import Tagging


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts that handlers use. ``pages`` is None without the web interface. ``clock`` returns Unix time."""

    settings: GatewaySettings
    engine: AsyncEngine
    jobs: JobQueries
    nodes: NodeQueries
    archive: ArchiveReader
    metrics: MetricServices
    walls: Walls
    link: BrokerLink
    commands: Commands
    tagging: Tagging
    users: UserStore
    auth: Auth
    live: Live
    pages: Built | None
    has_playground: bool
    clock: Callable[[], float]

    @property
    def look(self) -> Look:
        """How pages look that the gateway writes itself."""
        return Look(self.settings.base_path, self.pages.stylesheet if self.pages is not None else "", self.settings.site_name)

    async def call(self, guard: Guard, request: web.Request) -> "Call":
        """Admit a request. Raises RequestError (401, 403), Unavailable."""
        return Call(request, self, await self.auth.guards.admit(guard, request))


GATEWAY = web.AppKey("gateway", Gateway)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed the guard."""

    request: web.Request
    gateway: Gateway
    user: User

    @property
    def origin(self) -> Origin:
        return Origin.of(self.gateway.auth.allow_list.address(self.request))

    def number_in_path(self, name: str) -> int:
        """Raises RequestError (400)."""
        try:
            return integer(self.request.match_info[name])
        except ValueError as e:
            raise bad_request(f"integer expected in path for {name}: {e}") from e
