"""The recorded samples as metric lines, and the recorded requests with tokens of our own."""

import base64
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.archiver.feed import T0, recorded_store
from tests.metricstore.site import cluster_text, now, token

FILE = Path(__file__).parents[1] / "data" / "recorded" / "metric-store-api.jsonl"
CLUSTERS = ("fritz", "alex", "wtest", "wother", "wnohost", "wsmall")


@cache
def exchanges() -> dict[str, dict[str, Any]]:
    return {exchange["name"]: exchange for exchange in map(json.loads, FILE.read_text(encoding="utf-8").splitlines())}


def clusters() -> list[bytes]:
    """Cluster definitions in which every cluster has every metric, as in the recorded store."""
    metrics = {name: (step, aggregation or "") for name, (step, aggregation) in recorded_store().metrics.items()}
    return [cluster_text(name, metrics) for name in CLUSTERS]


def feed() -> Iterator[str]:
    """Every sample that the recorded store held before the first request."""
    for cluster, hosts in recorded_store().clusters.items():
        for host, level in hosts.items():
            for part, below in {"": level, **level.children}.items():
                tags = f"cluster={cluster},hostname={host}" + _type(part)
                for metric, stored in below.metrics.items():
                    for slot, value in stored.samples.items():
                        at = stored.first + slot * stored.step
                        if (host, metric) == ("f0107", "mem_used") and slot:
                            at += 13 * slot % 59 - 29
                        yield f"{metric},{tags} value={value} {at}"
    yield from _fast("fast_metric", "f0109", 9, None, 10, [j for j in range(1300) if not 500 <= j < 560])
    yield from _fast("slow_metric", "f0109", 9, None, 300, range(12))
    for thread in (0, 1):
        yield from _fast("fast_metric", "f0110", 10, thread, 10, range(1200))
    yield from _freed()
    yield from _healths(now())


def _freed() -> Iterator[str]:
    """Hosts of the requests to free samples."""
    for host in ("x001", "x002", "x003", "x004"):
        for part in ("", ",type=socket,type-id=0", ",type=socket,type-id=1"):
            metric = "mem_bw" if part else "cpu_load"
            yield from (f"{metric},cluster=wtest,hostname={host}{part} value=1 {T0 + 60 * k}" for k in range(3))
    yield from (f"cpu_load,cluster=wtest,hostname=x005 value={k} {T0 + 60 * k}" for k in (0, 1, 511, 512, 513))
    yield from (f"cpu_load,cluster=wtest,hostname=x006 value={1 + k} {T0 + 60 * k}" for k in (0, 1))


def _healths(at: int) -> Iterator[str]:
    """Hosts of the health checks: minutes before ``at`` in which each series has samples."""
    sockets = {f"mem_bw,cluster=wtest,hostname={{}},type=socket,type-id={socket}": socket for socket in (0, 1)}
    late = {"h001": range(1, 11), "h002": range(1, 11), "h003": range(20, 30), "h004": range(4, 10), "h005": range(8, 10)}
    metrics = {"h001": ("cpu_load", "mem_used"), "h003": ("cpu_load", "mem_used")}
    for host, minutes in late.items():
        for metric in metrics.get(host, ("cpu_load",)):
            yield from (f"{metric},cluster=wtest,hostname={host} value=1 {at // 60 * 60 - 60 * (m - 1)}" for m in minutes)
    for host in ("h001", "h002"):
        for series, socket in sockets.items():
            minutes = range(20, 30) if (host, socket) == ("h002", 1) else late[host]
            yield from (f"{series.format(host)} value=1 {at // 60 * 60 - 60 * (m - 1)}" for m in minutes)


def _fast(metric: str, host: str, n: int, thread: int | None, step: int, slots: Any) -> Iterator[str]:
    c = thread or 0
    tags = f"cluster=fritz,hostname={host}" + ("" if thread is None else f",type=hwthread,type-id={thread}")
    for slot in slots:
        at = T0 + step * slot
        yield f"{metric},{tags} value={10 + n + 0.5 * c + 0.125 * ((7 * (at // step) + 3 * c + 5 * n + len(metric)) % 11)} {at}"


def _type(part: str) -> str:
    for kind in ("hwthread", "socket", "accelerator"):
        if part.startswith(kind):
            return f",type={kind},type-id={part.removeprefix(kind)}"
    return ""


def headers(exchange: dict[str, Any]) -> dict[str, str]:
    """The headers of the request, with tokens that are as valid now as the recorded ones were then."""
    found = {name: value for name, value in exchange["request"]["headers"].items() if name != "Transfer-Encoding"}
    for name, value in found.items():
        for placeholder, made in _tokens().items():
            value = value.replace(placeholder, made)
        found[name] = value
    return found


def _tokens() -> dict[str, str]:
    return {
        "<token>": token(),
        "<token of another key>": token(key=Ed25519PrivateKey.generate()),
        "<HS256 token>": token(key="x" * 32, algorithm="HS256"),
        "<alg none token>": jwt.encode({"sub": "tests"}, "", algorithm="none"),
        "<expired token>": token({"exp": now() - 3600}),
        "<token with nbf in an hour>": token({"nbf": now() + 3600}),
        "<token with iat in an hour>": token({"iat": now() + 3600}),
        "<token with empty claims>": token({}),
        "<token with role user>": token({"roles": ["user"]}),
    }


def body(exchange: dict[str, Any]) -> bytes | None:
    request = exchange["request"]
    if "body_base64" in request:
        return base64.b64decode(request["body_base64"])
    return None if request["body"] is None else request["body"].encode("utf-8", "surrogateescape")
