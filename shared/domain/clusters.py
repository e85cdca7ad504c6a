"""Cluster definitions (``cluster.json``): reading, node lists, the subcluster of a host. Source: archive format 3."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator, model_validator
from pydantic.alias_generators import to_camel

from shared.domain import reasons
from shared.errors import Refused

Scope = Literal["node", "socket", "memoryDomain", "core", "hwthread", "accelerator"]
Statistic = Literal["avg", "min", "max", ""]
EnergyKind = Literal["power", "energy", ""]
EVERY_NODE = "*"
MAX_LISTED_HOSTS = 200_000
MAX_CLUSTER_NAME = 64
MAX_DISPLAY_NAME = 100
MAX_DESCRIPTION = 1000
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_ARCHIVE_FILES = frozenset(("version.txt",))  # files beside the folders of clusters in an archive
_NEW = {"is_new": True}


def _is_new(info: ValidationInfo) -> bool:
    """Whether the definition is being added: these are validated more strictly than stored ones, which must remain readable."""
    return bool(info.context and info.context.get("is_new"))


class ClusterModel(BaseModel):
    """Part of a cluster definition; unknown keys of old files are ignored, and null is the same as absent."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


class MetricUnit(ClusterModel):
    base: str = ""
    prefix: str = ""


class MetricOverride(ClusterModel):
    """An override for one subcluster. It replaces all values; absent ones are 0, empty or false."""

    name: str
    peak: float = 0.0
    normal: float = 0.0
    caution: float = 0.0
    alert: float = 0.0
    footprint: Statistic = ""
    energy: EnergyKind = ""
    lower_is_better: bool = False
    restrict: bool = False
    remove: bool = False


class Metric(ClusterModel):
    name: str = Field(min_length=1)
    unit: MetricUnit = MetricUnit()
    scope: Scope = "node"
    aggregation: str = ""
    timestep: int = Field(ge=1)
    peak: float = 0.0
    normal: float = 0.0
    caution: float = 0.0
    alert: float = 0.0
    energy: EnergyKind = ""
    lower_is_better: bool = False
    footprint: Statistic = ""
    restrict: bool = False
    sub_clusters: list[MetricOverride] = []
    display_name: str = ""
    description: str = ""

    @field_validator("display_name", "description", mode="wrap")
    @classmethod
    def _texts_are_short(cls, value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> str:
        """Definitions stored by earlier versions may have anything under these names."""
        if not _is_new(info):
            return value if isinstance(value, str) else ""
        text: str = read(value)
        most = MAX_DISPLAY_NAME if info.field_name == "display_name" else MAX_DESCRIPTION
        if len(text) > most:
            raise ValueError(f"at most {most} characters are expected")
        return text

    @field_validator("scope", mode="before")
    @classmethod
    def _missing_scope_is_node(cls, value: Any) -> Any:
        return value or "node"

    def on(self, subcluster: str) -> "Metric | None":
        """The effective metric on one subcluster, None if it is removed there. The last override wins."""
        mine = [override for override in self.sub_clusters if override.name == subcluster]
        if not mine:
            return self.model_copy(update={"sub_clusters": []})
        if mine[-1].remove:
            return None
        return self.model_copy(update={"sub_clusters": [], **mine[-1].model_dump(exclude={"name", "remove"})})


class Accelerator(ClusterModel):
    id: str
    type: str = ""
    model: str = ""


class Topology(ClusterModel):
    """Hardware threads per node, socket, memory domain, die and core; the index is the element's id."""

    node: list[int] = []
    socket: list[list[int]] = []
    memory_domain: list[list[int]] = []
    die: list[list[int]] = []
    core: list[list[int]] = []
    accelerators: list[Accelerator] = []


class MetricValue(ClusterModel):
    unit: MetricUnit = MetricUnit()
    value: float = 0.0


class SubCluster(ClusterModel):
    name: str = Field(min_length=1)
    nodes: str = ""
    processor_type: str = ""
    sockets_per_node: int = 0
    cores_per_socket: int = 0
    threads_per_core: int = 0
    flop_rate_scalar: MetricValue = MetricValue()
    flop_rate_simd: MetricValue = MetricValue()
    memory_bandwidth: MetricValue = MetricValue()
    topology: Topology = Topology()

    @field_validator("nodes")
    @classmethod
    def _nodes_are_readable(cls, value: str, info: ValidationInfo) -> str:
        if value != EVERY_NODE:
            nodes = NodeList(value)
            if _is_new(info):
                nodes.refuse_empty()
        return value

    @cached_property
    def number_of_nodes(self) -> int:
        """0 for a subcluster of every node (``*``), whose number is unknown."""
        return 0 if self.nodes == EVERY_NODE else len(NodeList(self.nodes))

    @cached_property
    def hosts(self) -> list[str]:
        """Sorted, at most ``MAX_LISTED_HOSTS``. Empty for a subcluster of every node (``*``)."""
        return [] if self.nodes == EVERY_NODE else sorted(set(itertools.islice(NodeList(self.nodes), MAX_LISTED_HOSTS)))


class Cluster(ClusterModel):
    """A cluster. Its name is also used as a folder in the archive, an argument of commands and a token of subjects."""

    name: str = Field(min_length=1, max_length=255)
    metric_config: list[Metric] = Field(min_length=1)
    sub_clusters: list[SubCluster] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _name_is_safe(cls, value: str, info: ValidationInfo) -> str:
        if value.startswith(".") or "/" in value or "\0" in value:
            raise ValueError("a name without '/' is expected, which does not begin with a dot")
        if _is_new(info) and (_CLUSTER_NAME.fullmatch(value) is None or len(value) > MAX_CLUSTER_NAME or value in _ARCHIVE_FILES):
            raise ValueError(
                f"letters, digits, '-', '_' and '.' are expected, at most {MAX_CLUSTER_NAME}, the first a letter or digit;"
                f" {', '.join(_ARCHIVE_FILES)} is reserved"
            )
        return value

    @field_validator("sub_clusters")
    @classmethod
    def _subclusters_have_names_of_their_own(cls, value: list[SubCluster], info: ValidationInfo) -> list[SubCluster]:
        names = [subcluster.name for subcluster in value]
        repeated = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if _is_new(info) and repeated is not None:
            raise ValueError(f"the name {repeated!r} is used twice")
        return value

    @cached_property
    def _node_lists(self) -> list[tuple[str, "NodeList"]]:
        return [(s.name, NodeList(s.nodes)) for s in self.sub_clusters if s.nodes != EVERY_NODE]

    @cached_property
    def _catch_all(self) -> str | None:
        return next((s.name for s in self.sub_clusters if s.nodes == EVERY_NODE), None)

    @cached_property
    def _subcluster_of_host(self) -> dict[str, str | None]:
        return {}

    def subcluster_of(self, hostname: str) -> str | None:
        """The first subcluster in the file whose node list contains the host, else the one for every node (``*``), else None."""
        known = self._subcluster_of_host
        if hostname not in known:
            if len(known) > 100_000:  # bounded, because names come from outside; cheap to recompute
                known.clear()
            found = (name for name, nodes in self._node_lists if hostname in nodes)
            known[hostname] = next(found, self._catch_all)
        return known[hostname]

    def subcluster(self, name: str) -> SubCluster | None:
        return next((s for s in self.sub_clusters if s.name == name), None)

    def metrics_on(self, subcluster: str) -> list[Metric]:
        """The effective metrics of one subcluster, in the order of the file."""
        return [m for m in (metric.on(subcluster) for metric in self.metric_config) if m is not None]


class NodeList:
    """A node list expression: terms separated by commas, each consisting of literals and ``[a-b,c,d-e]`` groups.

    In addition to cc-backend's syntax, single numbers in brackets, ranges of different width (``[1-10]``), and ``_``, ``.``
    and ``-`` anywhere in a literal are allowed. Raises ValueError when the expression cannot be read.
    """

    _PART = re.compile(r"(?P<literal>[A-Za-z0-9_.-]+)|\[(?P<ranges>[0-9,-]+)\]")

    def __init__(self, expression: str) -> None:
        self._literals: set[str] = set()
        self._terms: list[list[str | _Group]] = []
        for term in self._split(expression):
            parts = self._parts(term)
            if any(isinstance(part, _Group) for part in parts):
                self._terms.append(parts)
            else:
                self._literals.add(term)

    @staticmethod
    def _split(expression: str) -> list[str]:
        terms, depth, current = [], 0, ""
        for character in expression:
            if character == "," and depth == 0:
                terms.append(current)
                current = ""
                continue
            depth += {"[": 1, "]": -1}.get(character, 0)
            current += character
        terms.append(current)
        return [term.strip() for term in terms if term.strip()]

    def _parts(self, term: str) -> "list[str | _Group]":
        parts: list[str | _Group] = []
        at = 0
        while at < len(term):
            part = self._PART.match(term, at)
            if part is None:
                raise ValueError(f"node list: cannot read {term!r} at character {at + 1}")
            parts.append(part["literal"] if part["literal"] is not None else _Group(part["ranges"], term))
            at = part.end()
        return parts

    def refuse_empty(self) -> None:
        """Raises ValueError for a list without hosts, and for a descending range, which contains none."""
        if not self._literals and not self._terms:
            raise ValueError("node list: it contains no host")
        for parts in self._terms:
            for part in parts:
                if isinstance(part, _Group):
                    part.refuse_descending()

    def __contains__(self, hostname: str) -> bool:
        return hostname in self._literals or any(_matches(parts, hostname) for parts in self._terms)

    def __len__(self) -> int:
        """The number of names; a name in two terms is counted twice."""
        return len(self._literals) + sum(math.prod(len(part) for part in parts if isinstance(part, _Group)) for parts in self._terms)

    def __iter__(self) -> Iterator[str]:
        """All names, in no particular order; a name in two terms appears twice."""
        yield from self._literals
        for parts in self._terms:
            yield from map("".join, itertools.product(*(part if isinstance(part, _Group) else (part,) for part in parts)))


class _Group:
    """The numbers in one pair of brackets, padded to the width of the range's ends if both have the same."""

    def __init__(self, ranges: str, term: str) -> None:
        self._term = term
        self._ranges = [self._range(text, term) for text in ranges.split(",")]
        self.widths = sorted({width for low, high in self._ranges for width in range(len(low), len(high) + 1)})

    @staticmethod
    def _range(text: str, term: str) -> tuple[str, str]:
        low, dash, high = text.partition("-")
        if not dash:
            high = low
        is_padded = len(low) > 1 and low.startswith("0")
        if not (low.isdigit() and high.isdigit()) or max(len(low), len(high)) > _MAX_DIGITS or (len(low) != len(high) and is_padded):
            raise ValueError(f"node list: cannot read the range {text!r} in {term!r}")
        return low, high

    def refuse_descending(self) -> None:
        for low, high in self._ranges:
            if int(high) < int(low):
                raise ValueError(f"node list: the range '{low}-{high}' in {self._term!r} is descending")

    def __len__(self) -> int:
        return sum(max(int(high) - int(low) + 1, 0) for low, high in self._ranges)

    def __iter__(self) -> Iterator[str]:
        for low, high in self._ranges:
            width = len(low) if len(low) == len(high) else 1
            yield from (f"{number:0{width}d}" for number in range(int(low), int(high) + 1))

    def __contains__(self, digits: str) -> bool:
        if not (digits.isascii() and digits.isdigit()):
            return False
        for low, high in self._ranges:
            is_of_width = len(digits) == len(low) if len(low) == len(high) else digits == "0" or not digits.startswith("0")
            if is_of_width and int(low) <= int(digits) <= int(high):
                return True
        return False


_MAX_DIGITS = 18


def _matches(parts: Sequence[str | _Group], hostname: str, at: int = 0) -> bool:
    if not parts:
        return at == len(hostname)
    first, rest = parts[0], parts[1:]
    if isinstance(first, str):
        return hostname.startswith(first, at) and _matches(rest, hostname, at + len(first))
    return any(
        hostname[at : at + width] in first and _matches(rest, hostname, at + width) for width in first.widths if at + width <= len(hostname)
    )


def read_cluster(text: bytes) -> Cluster:
    """A stored definition. Raises pydantic.ValidationError."""
    return Cluster.model_validate_json(text)


def read_new_cluster(text: bytes) -> Cluster:
    """A definition to be added. Also refuses mistakes that would leave jobs without a subcluster. Raises as above."""
    return Cluster.model_validate_json(text, context=_NEW)


def assign_subcluster(clusters: Mapping[str, Cluster], cluster: str, given: str, first_host: str) -> str:
    """The subcluster of a job. Raises Refused if there is none."""
    definition = clusters.get(cluster)
    if definition is None:
        raise Refused(reasons.UNKNOWN_CLUSTER, f"{cluster!r} is not configured", field="cluster")
    if given:
        if definition.subcluster(given) is None:
            raise Refused(reasons.UNKNOWN_SUBCLUSTER, f"{given!r} is not a subcluster of {cluster}", field="subCluster")
        return given
    found = definition.subcluster_of(first_host)
    if found is None:
        raise Refused(reasons.NO_SUBCLUSTER, f"no subcluster of {cluster} contains the host {first_host!r}", field="resources.0.hostname")
    return found
