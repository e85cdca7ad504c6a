"""The expected answers: jobs of a database in arrays, read with simple statements and filtered with NumPy."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.history.clusters import FOOTPRINT
from bench.support.database import Reader, reading
from shared.domain.values import JobState
from shared.settings import DatabaseSettings

_TEXTS = ("hpc_user", "project", "cluster", "job_state")
_NUMBERS = ("id", "start_time", "duration", "num_nodes", "num_hwthreads", "num_acc")
_COLUMNS = (*_NUMBERS, *_TEXTS, "job_name", "hosts", "footprint")
_CHUNK = 50_000
SHORT_S = 300

Filters = Sequence[Mapping[str, Any]]
Mask = NDArray[np.bool_]
Array = NDArray[Any]


class Oracle:
    """Jobs ordered by id. Shares no code with the gateway and uses none of its shortcuts."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
        self._numbers: dict[str, Array] = {name: np.array(columns[name], dtype=np.int64) for name in _NUMBERS}
        self._texts: dict[str, Array] = {name: np.array(columns[name]) for name in _TEXTS}
        self._names: tuple[str, ...] = columns["job_name"]
        self._hosts: tuple[str, ...] = columns["hosts"]
        self._footprint = np.array(columns["footprint"], dtype=float)
        self.is_running = self._texts["job_state"] == JobState.RUNNING.value

    def __len__(self) -> int:
        return len(self._names)

    def number(self, name: str) -> Array:
        return self._numbers[name]

    def text(self, name: str) -> Array:
        return self._texts[name]

    def footprint(self, key: str) -> Array:
        """NaN where a job has none."""
        return self._footprint[:, FOOTPRINT.index(key)]

    def lasting(self, now: float) -> Array:
        """Durations in seconds, of running jobs until now."""
        return np.where(self.is_running, int(now) - self._numbers["start_time"], self._numbers["duration"])

    def mask(self, filters: Filters, now: float) -> Mask:
        """Raises KeyError for a filter that it does not know."""
        found = np.ones(len(self), bool)
        for filter_ in filters:
            for name, wanted in filter_.items():
                found &= self._one(name, wanted, now)
        return found

    def _one(self, name: str, wanted: Any, now: float) -> Mask:
        match name:
            case "user" | "project" | "cluster":
                return self._matches(self._texts["hpc_user" if name == "user" else name], wanted)
            case "state":
                return np.isin(self._texts["job_state"], wanted)
            case "duration":
                return _within(self.lasting(now), wanted)
            case "numNodes":
                return _within(self._numbers["num_nodes"], wanted)
            case "startTime":
                start = self._numbers["start_time"]
                return (start >= _unix(wanted["from"])) & (start <= _unix(wanted["to"]))
            case "jobName":
                return np.fromiter((wanted["contains"] in name for name in self._names), bool, len(self))
            case "node":
                host = f" {wanted['eq']} "
                return np.fromiter((host in hosts for hosts in self._hosts), bool, len(self))
            case "metricStats":
                met = [_within(self.footprint(item["metricName"]), item["range"]) for item in wanted]
                return np.asarray(np.logical_and.reduce(met))
        raise KeyError(name)

    def _matches(self, column: Array, wanted: Mapping[str, str]) -> Mask:
        ((operator, value),) = wanted.items()
        if operator == "eq":
            return np.asarray(column == value)
        if operator == "contains":
            return np.asarray(np.char.find(column, value) >= 0)
        raise KeyError(operator)

    def page(self, variables: Mapping[str, Any], now: float) -> tuple[list[int], int]:
        """Ids of the page in their order, and how many jobs match."""
        found = np.flatnonzero(self.mask(variables.get("filter") or [], now))
        ids = self._numbers["id"][found]
        order = variables["order"]
        key = self._numbers["start_time"] if order["field"] == "startTime" else self.footprint(order["field"])
        values = key[found].astype(float)
        if order["order"] == "DESC":  # stable, so ties must come in the order that is wanted: the largest id first
            place = np.lexsort((-ids, np.where(np.isnan(values), np.inf, -values)))
        else:
            place = np.lexsort((ids, np.where(np.isnan(values), -np.inf, values)))
        page = variables["page"]
        first = (page["page"] - 1) * page["itemsPerPage"]
        return ids[place[first : first + page["itemsPerPage"]]].tolist(), len(found)


def _within(values: Array, wanted: Mapping[str, float]) -> Mask:
    """0 is an open end; NaN is nowhere."""
    least, most = wanted["from"] or -np.inf, wanted["to"] or np.inf
    return np.asarray((values >= least) & (values <= most))


def _unix(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


async def read_oracle(database: DatabaseSettings, most: int | None = None) -> Oracle:
    """Read the jobs up to the id ``most``."""
    async with reading(database) as reader:
        return Oracle(await _rows(reader, most))


async def _rows(reader: Reader, most: int | None) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    statement = f"SELECT {', '.join(_COLUMNS)} FROM job"
    ((least, last),) = await reader.rows("SELECT min(id), max(id) FROM job")
    last = last if most is None else most
    for first in range(least, last + 1, _CHUNK):
        found = await reader.rows(f"{statement} WHERE id BETWEEN {first} AND {min(last, first + _CHUNK - 1)} ORDER BY id")
        rows += map(_narrow, found)
    return rows


_NO_FOOTPRINT = tuple(itertools.repeat(float("nan"), len(FOOTPRINT)))


def _narrow(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values of the footprint in place of its JSON, and a name that is a text."""
    *plain, name, hosts, footprint = row
    document = orjson.loads(footprint or "{}")
    values = tuple(document.get(key, float("nan")) for key in FOOTPRINT) if document else _NO_FOOTPRINT
    return *plain, name or "", hosts, values
