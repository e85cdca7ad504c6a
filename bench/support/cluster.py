"""The cluster of the benchmark: nodes with 20 metrics at one sample a minute."""

import json

CLUSTER = "bench"
NODES = 512
METRICS = 20
TIMESTEP_S = 60
METRIC_NAMES = ["cpu_load", "flops_any", "mem_bw", "mem_used", "node_power", *(f"metric{number:02d}" for number in range(METRICS - 5))]
_FOOTPRINT = {"cpu_load": "avg", "flops_any": "avg", "mem_bw": "avg", "mem_used": "max"}


def host(number: int) -> str:
    return f"b{number % NODES:04d}"


def cluster_text() -> bytes:
    """Its cluster.json."""
    metrics = [
        {
            "name": name,
            "scope": "node",
            "timestep": TIMESTEP_S,
            "unit": {"base": "W"} if name == "node_power" else {"base": "B/s", "prefix": "G"},
            "aggregation": "sum",
            "peak": 100.0,
            "normal": 50.0,
            "caution": 20.0,
            "alert": 10.0,
            **({"footprint": _FOOTPRINT[name]} if name in _FOOTPRINT else {}),
            **({"energy": "power"} if name == "node_power" else {}),
        }
        for name in METRIC_NAMES
    ]
    topology = {"node": list(range(64)), "socket": [list(range(32)), list(range(32, 64))], "core": [[thread] for thread in range(64)]}
    part = {
        "name": "main",
        "nodes": f"b[0000-{NODES - 1:04d}]",
        "processorType": "generic",
        "socketsPerNode": 2,
        "coresPerSocket": 32,
        "threadsPerCore": 1,
        "topology": topology,
    }
    return json.dumps({"name": CLUSTER, "metricConfig": metrics, "subClusters": [part]}).encode()
