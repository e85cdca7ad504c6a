"""The bodies of requests. Source: metrics specification, 2: keys match in any case, unknown ones are ignored, null is the default."""

from dataclasses import dataclass, field
from typing import Any

import orjson

MAX_QUERIES = 200_000
_INT64 = 2**63


class BadRequest(ValueError):
    """An invalid request; the text is for the sender."""


@dataclass(frozen=True, slots=True)
class Query:
    """``parts`` and ``devices`` are names of levels; without ``kind`` the query is about the whole host."""

    metric: str
    host: str
    kind: str | None = None
    ids: tuple[str, ...] = ()
    subkind: str | None = None
    subids: tuple[str, ...] = ()
    combines: bool = False
    resolution: int = 0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """``end`` is exclusive; Unix seconds. ``all_nodes`` None means that only ``queries`` are wanted.

    With ``newest`` the answer has one value for each metric of ``all_nodes`` and host, and nothing else counts.
    """

    cluster: str
    start: int
    end: int
    queries: list[Query] = field(default_factory=list)
    all_nodes: list[str] | None = None
    with_statistics: bool = True
    with_data: bool = True
    with_padding: bool = True
    newest: bool = False


class _Fields:
    """Typed access to one JSON object."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise BadRequest(f"{what}: an object is expected")
        self._values = {key.lower(): item for key, item in value.items()}
        self._what = what

    def _get(self, name: str, kind: type, default: Any) -> Any:
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise BadRequest(f"{self._what}.{name}: {kind.__name__} is expected, not {type(value).__name__}")
        return value

    def text(self, name: str) -> str:
        return str(self._get(name, str, ""))

    def maybe_text(self, name: str) -> str | None:
        value: str | None = self._get(name, str, None)
        return value

    def integer(self, name: str) -> int:
        value = int(self._get(name, int, 0))
        if not -_INT64 <= value < _INT64:
            raise BadRequest(f"{self._what}.{name}: out of range")
        return value

    def number(self, name: str, default: float) -> float:
        value = self._values.get(name)
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else float(self._get(name, float, default))

    def flag(self, name: str, *, default: bool) -> bool:
        return bool(self._get(name, bool, default))

    def items(self, name: str) -> list[Any] | None:
        value: list[Any] | None = self._get(name, list, None)
        return value

    def texts(self, name: str) -> list[str] | None:
        values = self.items(name)
        if values is not None and not all(isinstance(value, str) for value in values):
            raise BadRequest(f"{self._what}.{name}: a list of strings is expected")
        return values


def read_json(body: bytes) -> Any:
    if not body.strip():
        raise BadRequest("an empty body")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise BadRequest(f"not JSON: {e}") from e


def read_query(body: bytes) -> QueryRequest:
    """Raises BadRequest."""
    value = read_json(body)
    fields = _Fields({} if value is None else value, "request")
    queries = fields.items("queries") or []
    if len(queries) > MAX_QUERIES:
        raise BadRequest(f"request.queries: more than {MAX_QUERIES}")
    return QueryRequest(
        cluster=fields.text("cluster"),
        start=fields.integer("from"),
        end=fields.integer("to"),
        queries=[_query(query, f"queries.{index}") for index, query in enumerate(queries)],
        all_nodes=fields.texts("for-all-nodes"),
        with_statistics=fields.flag("with-stats", default=True),
        with_data=fields.flag("with-data", default=True),
        with_padding=fields.flag("with-padding", default=True),
        newest=fields.flag("newest", default=False),
    )


def _query(value: Any, what: str) -> Query:
    fields = _Fields({} if value is None else value, what)
    return Query(
        metric=fields.text("metric"),
        host=fields.text("host"),
        kind=fields.maybe_text("type"),
        ids=tuple(fields.texts("type-ids") or ()),
        subkind=fields.maybe_text("subtype"),
        subids=tuple(fields.texts("subtype-ids") or ()),
        combines=fields.flag("aggreg", default=False),
        resolution=fields.integer("resolution"),
        scale=fields.number("scale-by", 1.0) or 1.0,
    )


@dataclass(frozen=True, slots=True)
class HealthRequest:
    cluster: str
    hosts: list[str]
    metrics: list[str]


_HEALTH_KEYS = {"cluster", "nodes", "metric-names"}


def read_health_request(body: bytes) -> HealthRequest:
    """Unlike in queries, unknown keys are errors. Raises BadRequest."""
    value = read_json(body)
    value = {} if value is None else value
    fields = _Fields(value, "request")
    unknown = [key for key in value if key.lower() not in _HEALTH_KEYS]
    if unknown:
        raise BadRequest(f"request: unknown field {unknown[0]!r}")
    return HealthRequest(fields.text("cluster"), fields.texts("nodes") or [], fields.texts("metric-names") or [])


def read_selectors(body: bytes) -> list[list[str]]:
    """Lists of level names: cluster, host, part, device. Raises BadRequest."""
    value = read_json(body)
    selectors = [] if value is None else value
    if not isinstance(selectors, list) or not all(isinstance(s, list) and all(isinstance(t, str) for t in s) for s in selectors):
        raise BadRequest("a list of lists of strings is expected")
    return selectors
