"""Metric data of jobs: the port MetricSource, its adapters for metric stores, and the values computed from the data."""

from shared.metricdata.health import HostHealth
from shared.metricdata.model import JobData, MetricData, Series, Statistics, StatisticsSeries, Unit
from shared.metricdata.opening import open_source
from shared.metricdata.request import request_of, request_until
from shared.metricdata.results import Results, results_of
from shared.metricdata.settings import MetricsSettings
from shared.metricdata.source import JobRequest, Loaded, MetricSource, OnlyErrors, SourceRefused, SourceUnavailable

__all__ = [
    "HostHealth",
    "JobData",
    "JobRequest",
    "Loaded",
    "MetricData",
    "MetricSource",
    "MetricsSettings",
    "OnlyErrors",
    "Results",
    "Series",
    "SourceRefused",
    "SourceUnavailable",
    "Statistics",
    "StatisticsSeries",
    "Unit",
    "open_source",
    "request_of",
    "request_until",
    "results_of",
]
