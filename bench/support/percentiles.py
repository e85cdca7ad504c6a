"""Of measured times."""

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def summary_ms(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    return {
        "count": len(seconds),
        **{f"p{percent}": round(percentile(seconds, percent) * 1000, 2) for percent in (50, 90, 99)},
        "max": round(max(seconds) * 1000, 2),
    }
