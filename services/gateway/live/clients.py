"""Limits on concurrent followers, and the changes that each may see."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from services.gateway.errors import forbidden
from services.gateway.live.changes import Change, JobChange, JobDeletion
from services.gateway.live.feed import LiveNumbers
from services.gateway.people.identity import User
from services.gateway.reading.filters import may_see, visible_to
from shared.errors import Unavailable

Kind = Literal["job", "node", "rejection"]
FAIR_SHARE = 4  # one user may have a quarter of all connections


class LiveClients:
    """Counts connections, and limits them to ``max_clients`` for all users together."""

    def __init__(self, numbers: LiveNumbers, max_clients: int) -> None:
        self.numbers = numbers
        self._max_clients = max_clients
        self._max_of_one = max(1, max_clients // FAIR_SHARE)
        self._by_user: Counter[str] = Counter()
        self.by_kind: Counter[Literal["events", "websocket"]] = Counter()

    @contextmanager
    def admitted(self, who: str, kind: Literal["events", "websocket"]) -> Iterator[None]:
        """``who`` is a user name, or a placeholder before sign-in. Raises Unavailable at the limit."""
        if self._by_user.total() >= self._max_clients:
            raise Unavailable(f"no more than {self._max_clients} clients may follow changes at once")
        if self._by_user[who] >= self._max_of_one:
            raise Unavailable(f"no more than {self._max_of_one} clients of one user may follow changes at once")
        self._by_user[who] += 1
        self.by_kind[kind] += 1
        self.numbers.clients.labels(kind).inc()
        try:
            yield
        finally:
            self._by_user[who] -= 1
            self.by_kind[kind] -= 1
            if not self._by_user[who]:
                del self._by_user[who]
            self.numbers.clients.labels(kind).dec()


@dataclass(frozen=True, slots=True)
class Viewer:
    """The user that changes are filtered for. ``kinds`` and ``cluster`` are the requested ones."""

    user: User
    kinds: frozenset[Kind]
    cluster: str | None = None

    def admits(self, change: Change) -> bool:
        if isinstance(change, JobChange):
            of, is_seen = change.job.cluster, may_see(self.user, change.job.hpc_user, change.job.project)
            return "job" in self.kinds and is_seen and self.cluster in (None, of)
        if isinstance(change, JobDeletion):
            return "job" in self.kinds and may_see(self.user, change.hpc_user, change.project) and self.cluster in (None, change.cluster)
        return "node" in self.kinds and self.cluster in (None, change.node.cluster)


def viewer(user: User, asked: frozenset[Kind], cluster: str | None) -> Viewer:
    """Empty ``asked`` means all jobs and nodes visible to the user. Raises RequestError (403) for kinds the user may not see."""
    if "node" in asked and not user.sees_nodes:
        raise forbidden("the states of nodes are for the roles admin and support, and for programs with the role api alone")
    if "rejection" in asked and not user.sees_rejections:
        raise forbidden("rejections are for the roles admin and support, and for programs with the role api alone")
    kinds: frozenset[Kind] = asked or frozenset({"job", "node"} if user.sees_nodes else {"job"})
    if "job" in kinds:
        visible_to(user)  # raises for a user who sees no jobs at all
    return Viewer(user, kinds, cluster)
