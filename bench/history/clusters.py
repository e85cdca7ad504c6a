"""Three clusters: one with accelerators and shared nodes, two of whole nodes, one of which lists its threads."""

import json
from dataclasses import dataclass
from functools import cached_property

TIMESTEP_S = 60
Metric = tuple[str, str, str, float]  # statistic, base and prefix of the unit, peak
# With a statistic those of the footprint: six.
METRICS: dict[str, Metric] = {
    "cpu_load": ("avg", "", "", 128.0),
    "cpu_power": ("avg", "W", "", 800.0),
    "flops_any": ("avg", "F/s", "G", 4000.0),
    "mem_bw": ("avg", "B/s", "G", 400.0),
    "mem_used": ("max", "B", "G", 512.0),
    "net_bw": ("avg", "B/s", "M", 12_000.0),
    "clock": ("", "Hz", "M", 3500.0),
    "ipc": ("", "", "", 4.0),
}
FOOTPRINT = [f"{name}_{statistic}" for name, (statistic, *_) in METRICS.items() if statistic]
PEAKS = {f"{name}_{statistic}": peak for name, (statistic, _, _, peak) in METRICS.items() if statistic}


@dataclass(frozen=True, slots=True)
class Part:
    """A subcluster: nodes ``first`` to ``last`` of its cluster."""

    name: str
    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class ClusterPlan:
    """``accelerators`` of a node; with them jobs may have a part of a node."""

    name: str
    letter: str
    parts: tuple[Part, ...]
    sockets: int
    cores: int  # of a socket
    accelerators: int = 0
    lists_threads: bool = True

    @property
    def threads(self) -> int:
        return self.sockets * self.cores

    def host(self, number: int) -> str:
        return f"{self.letter}{number:04d}"

    @cached_property
    def accelerator_ids(self) -> list[str]:
        return [f"00000000:{7 + 16 * number:02X}:00.0" for number in range(self.accelerators)]

    def text(self) -> bytes:
        """Its cluster.json."""
        metrics = [
            {
                "name": name,
                "scope": "node",
                "timestep": TIMESTEP_S,
                "unit": {"base": base} | ({"prefix": prefix} if prefix else {}),
                "aggregation": "avg" if name in ("clock", "ipc") else "sum",
                "peak": peak,
                "normal": peak / 2,
                "caution": peak / 5,
                "alert": peak / 10,
            }
            | ({"footprint": statistic} if statistic else {})
            | ({"energy": "power"} if name == "cpu_power" else {})
            for name, (statistic, base, prefix, peak) in METRICS.items()
        ]
        return json.dumps({"name": self.name, "metricConfig": metrics, "subClusters": [self._part(part) for part in self.parts]}).encode()

    def _part(self, part: Part) -> dict[str, object]:
        cores = self.cores
        return {
            "name": part.name,
            "nodes": f"{self.letter}[{part.first:04d}-{part.last:04d}]",
            "processorType": "generic",
            "socketsPerNode": self.sockets,
            "coresPerSocket": cores,
            "threadsPerCore": 1,
            "flopRateScalar": {"unit": {"base": "F/s", "prefix": "G"}, "value": 400},
            "flopRateSimd": {"unit": {"base": "F/s", "prefix": "G"}, "value": 4000},
            "memoryBandwidth": {"unit": {"base": "B/s", "prefix": "G"}, "value": 400},
            "topology": {
                "node": list(range(self.threads)),
                "socket": [list(range(cores * socket, cores * (socket + 1))) for socket in range(self.sockets)],
                "core": [[thread] for thread in range(self.threads)],
                "accelerators": [{"id": name, "type": "gpu", "model": "generic"} for name in self.accelerator_ids],
            },
        }


AURORA = ClusterPlan("aurora", "a", (Part("g40", 1, 60), Part("g100", 61, 100)), sockets=2, cores=64, accelerators=8)
BOREALIS = ClusterPlan("borealis", "b", (Part("main", 1, 600),), sockets=2, cores=36)
CIRRUS = ClusterPlan("cirrus", "c", (Part("main", 1, 900), Part("large", 901, 1000)), sockets=2, cores=52, lists_threads=False)
CLUSTERS = (AURORA, BOREALIS, CIRRUS)
SHARES = (0.3, 0.42, 0.28)  # of the jobs, by and large
