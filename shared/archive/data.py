"""data.json: the time series of one job. Source: archive format 3, sections 2.3 and 2.4."""

import numpy as np
from isal import isal_zlib

from shared.archive.text import dump
from shared.metricdata.model import FloatArray, JobData, MetricData, Series, StatisticsSeries

PACK_ABOVE_BYTES = 2000
_GZIP = 31  # 32 KiB window and gzip header; the header's time field stays 0, so that equal data give equal bytes


def render_data(data: JobData) -> bytes:
    """The text of the file. Metrics and scopes are sorted; samples have two decimals, NaN is null.

    Raises ValueError for infinite samples.
    """
    metrics = ",".join(
        f"{_text(metric)}:{{" + ",".join(f"{_text(scope)}:{_metric(scopes[scope])}" for scope in sorted(scopes)) + "}"
        for metric, scopes in sorted(data.items())
    )
    return f"{{{metrics}}}\n".encode()


def pack(text: bytes) -> tuple[bytes, bool]:
    """The bytes to store, and whether they are gzip. The format requires gzip above 2000 bytes."""
    if len(text) <= PACK_ABOVE_BYTES:
        return text, False
    return compressed(text), True


def compressed(text: bytes) -> bytes:
    """Compress with gzip; equal texts give equal bytes."""
    packer = isal_zlib.compressobj(level=isal_zlib.ISAL_DEFAULT_COMPRESSION, wbits=_GZIP)
    return packer.compress(text) + packer.flush()


def _text(value: str) -> str:
    return dump(value).decode().rstrip("\n")


def _metric(metric: MetricData) -> str:
    unit = {"base": metric.unit.base} | ({"prefix": metric.unit.prefix} if metric.unit.prefix else {})
    statistics = "" if metric.statistics_series is None else f'"statisticsSeries":{_statistics_series(metric.statistics_series)},'
    series = ",".join(_series(one) for one in metric.series)
    return f'{{{statistics}"unit":{dump(unit).decode().rstrip()},"series":[{series}],"timestep":{metric.timestep}}}'


def _series(series: Series) -> str:
    element = "" if series.id is None else f'"id":{_text(series.id)},'
    found = series.statistics
    return (
        f'{{"hostname":{_text(series.hostname)},{element}'
        f'"statistics":{{"min":{found.min:.2f},"avg":{found.avg:.2f},"max":{found.max:.2f}}},'
        f'"data":{_numbers(series.data)}}}'
    )


def _statistics_series(series: StatisticsSeries) -> str:
    parts = {"mean": series.mean, "median": series.median, "min": series.min, "max": series.max}
    return "{" + ",".join(f'"{name}":{_numbers(values)}' for name, values in parts.items() if values is not None) + "}"


def _numbers(values: FloatArray) -> str:
    if values.size == 0:
        return "[]"
    if np.isinf(values).any():
        raise ValueError("JSON cannot represent an infinite sample")
    text = ",".join(["%.2f"] * values.size) % tuple(values.tolist())
    return f"[{text.replace('nan', 'null')}]"
