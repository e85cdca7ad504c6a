"""Events of subscriptions."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from services.gateway.graphql.shape import Getter, Tables
from services.gateway.graphql.shapes.jobs import JobView
from services.gateway.graphql.shapes.nodes import NodeView
from services.gateway.live.changes import Cursor

Kind = Literal["START", "CHANGED", "DELETED", "RESET"]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """``seen`` is the job or node after the change."""

    cursor: Cursor
    kind: Kind
    id: int | None = None
    seen: JobView | NodeView | None = None


def _cursor(view: ChangeView) -> str:
    return str(view.cursor)


def _id(view: ChangeView) -> str | None:
    return None if view.id is None else str(view.id)


_CHANGE: dict[str, Getter] = {"cursor": _cursor, "kind": attrgetter("kind"), "id": _id}

TABLES: Tables = {
    "JobChange": _CHANGE | {"job": attrgetter("seen")},
    "NodeChange": _CHANGE | {"node": attrgetter("seen")},
}
