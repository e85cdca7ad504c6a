"""All existing series, with their cluster, metric, host and part of the host, and the grid of their samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from services.metricstore.grids import NEVER, Grid, Names
from shared.domain.clusters import Cluster

NODE = ("", "")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a host. ``kind`` and ``id`` are empty for the node itself; ``subkind`` and ``subid`` name a device inside it."""

    kind: str = ""
    id: str = ""
    subkind: str = ""
    subid: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """The names of the two levels below the host, as queries give them."""
        return self.kind + self.id, self.subkind + self.subid


@dataclass(frozen=True, slots=True)
class Series:
    """``row`` is the index of its samples in ``grid``."""

    number: int
    cluster: str
    metric: str
    host: str
    part: Part
    grid: Grid
    row: int

    @property
    def names(self) -> Names:
        return self.metric, self.host, self.part.kind, self.part.id, self.part.subkind, self.part.subid

    @property
    def has_samples(self) -> bool:
        return bool(self.grid.first[self.row] != NEVER)


@dataclass(frozen=True, slots=True)
class StoredMetric:
    """A metric of a cluster: its timestep in seconds, and its aggregation (``sum``, ``avg`` or empty)."""

    timestep: int
    aggregation: str


ByPlace = dict[tuple[str, str], Series]


@dataclass(slots=True)
class ClusterSeries:
    """The series of one cluster: host to metric to the part's place. ``grids`` by timestep.

    ``hosts`` has series on the grid of their metric's timestep of today. ``former`` has, by names and timestep, those with samples of
    another timestep, and those of metrics that are not configured.
    """

    name: str
    metrics: dict[str, StoredMetric] = field(default_factory=dict)
    hosts: dict[str, dict[str, ByPlace]] = field(default_factory=dict)
    grids: dict[int, Grid] = field(default_factory=dict)
    former: dict[Names, dict[int, Series]] = field(default_factory=dict)

    def holders(self, host: str, metric: str) -> list[Series]:
        """The node's own series if it has one, else the coarsest series of each part."""
        places = self.hosts.get(host, {}).get(metric, {})
        own = places.get(NODE)
        if own is not None:
            return [own]
        return [series for (part, device), series in places.items() if not device or not part or (part, "") not in places]

    def at(self, host: str, metric: str, part: str) -> list[Series]:
        """The series of one part, else those of the devices inside it."""
        places = self.hosts.get(host, {}).get(metric, {})
        own = places.get((part, ""))
        return [own] if own is not None else [series for (name, _), series in places.items() if name == part]

    def with_samples(self, series: Series) -> tuple[Series, ...]:
        """The series and its former ones, as far as they have samples."""
        if not self.former:
            return (series,) if series.has_samples else ()
        return tuple(one for one in (series, *self.former.get(series.names, {}).values()) if one.has_samples)

    def every(self, host: str, metric: str) -> list[Series]:
        return list(self.hosts.get(host, {}).get(metric, {}).values())


class Catalogue:
    """All series. A series is created by its first line; its number and row are reused some time after it was removed."""

    def __init__(self, max_series: int, on_grid: Callable[[str, Grid], None] = lambda _cluster, _grid: None) -> None:
        """``on_grid`` is called with each new grid and the name of its cluster."""
        self._max_series = max_series
        self._on_grid = on_grid
        self._created: list[Series] = []
        self._removed: list[Series] = []
        self._resting: list[Series] = []
        self._free: list[int] = []
        self.clusters: dict[str, ClusterSeries] = {}
        self.series: list[Series] = []  # by number; those removed too, until another one has their number
        self.version = 0  # grows whenever a query may find other series than before

    @property
    def count(self) -> int:
        return len(self.series) - len(self._removed) - len(self._resting) - len(self._free)

    def configure(self, clusters: Mapping[str, Cluster]) -> None:
        """Use the metrics of the definitions. Removed clusters keep their samples but get no new ones."""
        self.version += 1
        for name in self.clusters.keys() - clusters.keys():
            self.clusters[name].metrics = {}
        for name, definition in clusters.items():
            cluster = self.clusters.setdefault(name, ClusterSeries(name))
            cluster.metrics = {m.name: StoredMetric(m.timestep, m.aggregation) for m in definition.metric_config}
            self._follow_timesteps(cluster)

    def _follow_timesteps(self, cluster: ClusterSeries) -> None:
        """New samples of a metric whose timestep has changed are series on another grid."""
        for metrics in cluster.hosts.values():
            for metric in metrics.keys() & cluster.metrics.keys():
                for series in metrics[metric].values():
                    if series.grid.step != cluster.metrics[metric].timestep:
                        cluster.former.setdefault(series.names, {})[series.grid.step] = series
        for names in list(cluster.former):
            if names[0] in cluster.metrics:
                self._take_place(cluster, names)

    def _take_place(self, cluster: ClusterSeries, names: Names) -> Series:
        """Put the series on the grid of today's timestep where queries look, created if it is new."""
        metric, host, *parts = names
        step = cluster.metrics[metric].timestep
        places = cluster.hosts.setdefault(host, {}).setdefault(metric, {})
        place = Part(*parts).place
        if place not in places or places[place].grid.step != step:
            self.version += 1
            former = cluster.former.get(names, {})
            places[place] = former.pop(step) if step in former else self._create(cluster, names, step)
            if not former:
                cluster.former.pop(names, None)
        return places[place]

    def find(self, cluster: ClusterSeries, metric: str, host: str, part: Part) -> Series | None:
        """The series, created if it is new; None if there are too many."""
        series = cluster.hosts.get(host, {}).get(metric, {}).get(part.place)
        if series is None and self.count < self._max_series:
            series = self._take_place(cluster, (metric, host, part.kind, part.id, part.subkind, part.subid))
        return series

    def find_filed(self, cluster: ClusterSeries, names: Names, step: int) -> Series:
        """The series of a row of a file, created if it is new: what is in files is never refused.

        Queries find it unless its metric is not configured.
        """
        metric = cluster.metrics.get(names[0])
        if metric is not None:
            today = self._take_place(cluster, names)
            if metric.timestep == step:
                return today
        else:
            there = cluster.hosts.get(names[1], {}).get(names[0], {}).get(Part(*names[2:]).place)
            if there is not None and there.grid.step == step:
                return there
        former = cluster.former.setdefault(names, {})
        if step not in former:
            former[step] = self._create(cluster, names, step)
        return former[step]

    def _create(self, cluster: ClusterSeries, names: Names, step: int) -> Series:
        grid = cluster.grids.get(step)
        if grid is None:
            grid = cluster.grids[step] = Grid(step)
            self._on_grid(cluster.name, grid)
        metric, host, *parts = names
        number = self._free.pop() if self._free else len(self.series)
        series = Series(number, cluster.name, metric, host, Part(*parts), grid, grid.add_row(names))
        self.series[number : number + 1] = [series]
        self._created.append(series)
        return series

    def take_created(self) -> list[Series]:
        """The series created since the last call."""
        created, self._created = self._created, []
        return created

    def take_removed(self) -> list[Series]:
        """The series removed before the last call, whose numbers are free now because no query reads them any longer."""
        free, self._resting, self._removed = self._resting, self._removed, []
        self._free += [series.number for series in free]
        return free

    def selected(self, levels: Sequence[str]) -> list[Series]:
        """The series below a level, former ones too: nothing, or names of cluster, host, part and device."""
        found = []
        for cluster in [self.clusters[name] for name in (levels[:1] or self.clusters) if name in self.clusters]:
            for host in levels[1:2] or list(cluster.hosts):
                for places in cluster.hosts.get(host, {}).values():
                    for place, series in places.items():
                        if list(place[: len(levels[2:4])]) == list(levels[2:4]):
                            found += [series, *cluster.former.get(series.names, {}).values()]
        return found

    def remove(self, series: Series) -> list[Series]:
        """Remove a series without samples, and levels that become empty. A series that has former ones is kept for them.

        Returns those removed: none, the series, or also the one that was kept for it.
        """
        cluster = self.clusters[series.cluster]
        removed: list[Series] = []
        former = cluster.former.get(series.names, {})
        if former.get(series.grid.step) is series:
            del former[series.grid.step]
            removed.append(series)
            if not former:
                del cluster.former[series.names]
        self.version += 1
        metrics = cluster.hosts.get(series.host, {})
        places = metrics.get(series.metric, {})
        today = places.get(series.part.place)
        if today is not None and not former and not today.has_samples:
            del places[series.part.place]
            removed.append(today)
            if not places:
                metrics.pop(series.metric, None)
            if not metrics:
                cluster.hosts.pop(series.host, None)
        self._removed += removed
        return removed
