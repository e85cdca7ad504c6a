"""Every recorded exchange is replayed and compared, or listed here with a reason."""

from collections import Counter

from tests.archiver.recordings import exchanges as metric_store_exchanges
from tests.gateway.differences import NOT_ASKED
from tests.gateway.graphql import test_recorded as graphql
from tests.gateway.graphql import test_variants as variants
from tests.gateway.metrics import test_recorded as metrics
from tests.gateway.metrics.ground import feed
from tests.gateway.recorded import DATA, exchanges
from tests.gateway.rest import test_contract as rest
from tests.unit.test_recorded_messages import NAMES as MESSAGES

_INTO_THE_STORE = "metric data go into the metric store, which is another program here: the test's own store takes them"
NOT_COMPARED = {
    "rest-jobs.jsonl": {name: why for name, why in NOT_ASKED.items() if name != "logs-ok"},
    "rest-other.jsonl": {"logs-ok": NOT_ASKED["logs-ok"]},
    "graphql.jsonl": dict.fromkeys(("feed-write", "feed-write-fresh", "h-feed-write"), _INTO_THE_STORE),
}


def compared() -> dict[str, list[str]]:
    """Names of the compared exchanges by file, as the tests select them."""
    by_rest = {file: [e["name"] for config in configs for e in rest.asked(file, config)] for file, configs in rest.CONFIGURATIONS.items()}
    fed = [e for e in feed("H") if e["request"]["path"] != "/api/write"]  # their statuses are compared
    queries = [graphql.asked(), *map(metrics.asked, metrics.CONFIGURATIONS), *map(variants.asked, "TR"), fed]
    return by_rest | {"graphql.jsonl": [e["name"] for part in queries for e in part]}


def test_every_exchange_is_compared_once_or_named_with_a_reason() -> None:
    for file, names in compared().items():
        counted = Counter(names + list(NOT_COMPARED[file]))
        assert counted == Counter(exchange["name"] for exchange in exchanges(file)), file


def test_every_message_and_every_query_of_the_metric_store_is_compared() -> None:
    assert [message["name"] for message in exchanges("nats.jsonl")] == MESSAGES
    assert set(metric_store_exchanges()) == {exchange["name"] for exchange in exchanges("metric-store.jsonl")}


def test_every_recorded_file_is_looked_at() -> None:
    known = {*compared(), "nats.jsonl", "metric-store.jsonl", "metric-store-api.jsonl"}  # the last is compared by tests/metricstore
    assert {path.name for path in (DATA / "recorded").glob("*.jsonl")} == known
