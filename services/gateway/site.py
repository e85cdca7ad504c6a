"""What the handlers of one gateway work with, and one call of a handler."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.errors import bad_request
from services.gateway.frame.credentials import Guard
from services.gateway.frame.query import integer
from services.gateway.frame.settings import GatewaySettings
from services.gateway.live.wiring import Live
from services.gateway.metrics.archived import ArchiveReader
from services.gateway.metrics.wiring import MetricServices
from services.gateway.people.auth.wiring import Auth
from services.gateway.people.identity import User
from services.gateway.people.users.store import UserStore
from services.gateway.reading.jobs import JobQueries
from services.gateway.writing.commands import Commands
from services.gateway.writing.link import BrokerLink


@dataclass(frozen=True, slots=True)
class Site:
    """``clock`` gives Unix time."""

    settings: GatewaySettings
    engine: AsyncEngine
    jobs: JobQueries
    archive: ArchiveReader
    metrics: MetricServices
    link: BrokerLink
    commands: Commands
    users: UserStore
    auth: Auth
    live: Live
    clock: Callable[[], float]

    async def call(self, guard: Guard, request: web.Request) -> "Call":
        """Admit a request. Raises RequestError (401, 403), Unavailable."""
        return Call(request, self, await self.auth.guards.admit(guard, request))


SITE = web.AppKey("site", Site)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed the guard."""

    request: web.Request
    site: Site
    user: User

    def number_in_path(self, name: str) -> int:
        """Raises RequestError (400)."""
        try:
            return integer(self.request.match_info[name])
        except ValueError as e:
            raise bad_request(f"integer expected in path for {name}: {e}") from e
