"""The comparison of two commits."""

from bench.compare import Figure, compare, figures


def _run(value: float, cpu: float | None = None, *, what: str = "by user, p50") -> list[Figure]:
    return [Figure("queries", what, "sqlite", "ms", value, cpu)]


def test_medians_and_ratios_are_over_all_runs_of_each_commit() -> None:
    (found,) = compare([_run(9.0, 300), _run(4.0, 100), _run(5.0, 200)], [_run(10.0, 400), _run(10.0, 500), _run(90.0, 100)])
    assert (found.here, found.there, found.ratio) == (5.0, 10.0, 0.5)
    assert (found.cpu_here, found.cpu_there, found.cpu_ratio) == (200, 400, 0.5)


def test_figures_that_one_commit_lacks_are_left_out() -> None:
    assert compare([_run(1.0)], [_run(1.0, what="renamed")]) == []


def test_figures_inside_names_do_not_hide_a_figure() -> None:
    (found,) = compare([_run(1.0, what="by user: p99 (p50: 4.4 ms)")], [_run(2.0, what="by user: p99 (p50: 5.1 ms)")])
    assert found.ratio == 0.5


def test_a_figure_of_zero_has_no_ratio() -> None:
    (found,) = compare([_run(1.0)], [_run(0.0)])
    assert found.ratio is None
    assert found.cpu_ratio is None


def test_processor_time_is_the_sum_over_processes() -> None:
    result = {
        "what": "rate",
        "setting": {"a": "sqlite", "b": "x"},
        "unit": "1/s",
        "value": 2.0,
        "details": {"cpu_us_per_event": {"a": 1, "b": 2}},
    }
    assert figures([{"row": "rate", "results": [result]}]) == [Figure("rate", "rate", "sqlite, x", "1/s", 2.0, 3.0)]
