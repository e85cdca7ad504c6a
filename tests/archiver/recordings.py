"""Exchanges recorded from a running cc-metric-store, and what cc-backend archived from them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "data" / "recorded" / "metric-store.jsonl"


@cache
def exchanges() -> dict[str, dict[str, Any]]:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return {exchange["name"]: exchange for exchange in map(json.loads, lines)}
