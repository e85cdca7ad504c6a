"""The shipped rules, rule files, and the detection of applications."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.advice import Advice, Applications, JobFacts, Rule, RuleError, advise_running, facts_of, load_rules, read_rule
from shared.advice.operations import FUNCTIONS
from shared.domain.clusters import read_cluster
from shared.domain.events import JobAdvised
from shared.metricdata.arithmetic import statistics_of
from shared.metricdata.model import FloatArray, JobData, MetricData, Series, Statistics, Unit
from tests.support.clusters import cluster_text, sample_clusters
from tests.support.processes import REPOSITORY

CLUSTERS = sample_clusters()
ROW: dict[str, Any] = {
    "subcluster": "main",
    "job_state": "completed",
    "shared": "none",
    "duration": 7200,
    "walltime": 8000,
    "start_time": 1_760_000_000,
    "requested_memory": 0,
    "cluster_partition": "batch",
    "num_nodes": 4,
    "num_hwthreads": 0,
    "num_acc": 0,
    "smt": 1,
    "resources": '[{"hostname":"f0100"},{"hostname":"f0101"},{"hostname":"f0102"},{"hostname":"f0103"}]',
}
BUSY = {"cpu_load": [72.0] * 4, "flops_any": [900.0] * 4, "mem_bw": [100.0] * 4, "mem_used": [60.0] * 4}


def job(values: dict[str, Sequence[float]] | None = None, samples: dict[str, list[float]] | None = None, **changes: Any) -> JobFacts:
    """A job of fritz with one constant value per node and metric, or of alex with one per accelerator of its node.

    ``samples`` are the same on all nodes.
    """
    data: JobData = {}
    for metric, per_node in (BUSY | (values or {})).items():
        rows = [np.array(samples[metric]) if samples and metric in samples else np.full(120, value) for value in per_node]
        nodes = [np.mean(rows, axis=0)] if _is_of_devices(metric) else rows
        data[metric] = {"node": MetricData(Unit("", ""), 60, tuple(series(f"f010{n}", None, row) for n, row in enumerate(nodes)))}
        if _is_of_devices(metric):
            devices = tuple(series("f0100", f"gpu{n}", row) for n, row in enumerate(rows))
            data[metric]["accelerator"] = MetricData(Unit("", ""), 60, devices)
    return facts(data, **changes)


def _is_of_devices(metric: str) -> bool:
    return metric.startswith(("acc_", "nv_"))


def series(host: str, id_: str | None, row: FloatArray) -> Series:
    return Series(host, id_, statistics_of(row) or Statistics(0, 0, 0), row)


def facts(data: JobData, **changes: Any) -> JobFacts:
    cluster = CLUSTERS["alex" if changes.get("num_acc") else "fritz"]
    statistics = {metric: _statistics([series for scope in scopes.values() for series in scope.series]) for metric, scopes in data.items()}
    return facts_of(ROW | changes, cluster, statistics, data)


def _statistics(series: list[Series]) -> dict[str, float]:
    return {
        "avg": float(np.mean([one.statistics.avg for one in series])),
        "min": min(one.statistics.min for one in series),
        "max": max(one.statistics.max for one in series),
    }


GPU: dict[str, Any] = {"num_acc": 4, "subcluster": "a100", "num_nodes": 1, "resources": '[{"hostname":"f0100"}]'}
HALF = [900.0] * 60 + [0.0] * 60
ONE_NODE: dict[str, Any] = {"num_nodes": 1, "resources": '[{"hostname":"f0100"}]'}
GPUS: dict[str, Sequence[float]] = {"acc_utilization": [80.0] * 4, "nv_sm_clock": [1400.0] * 4, "nv_temp": [50.0] * 4}
TURNS, OPPOSITE = [60.0, 60.0, 3.0] * 40, [5.0, 5.0, 95.0] * 40


@pytest.mark.parametrize(
    ("found", "rules"),
    [
        (job(), []),
        (job(job_state="out_of_memory"), ["outofmemory"]),
        (job(job_state="timeout"), ["timelimit"]),
        (job(job_state="node_fail"), ["nodefailure"]),
        (job({"cpu_load": [10.0] * 4}), ["lowload"]),
        (job({"cpu_load": [10.0] * 4}, shared="multi_user"), []),
        (job({"cpu_load": [10.0] * 4}, duration=60, walltime=600), []),
        (job({"cpu_load": [100.0] * 4}), ["excessiveload"]),
        (job({"flops_any": [1.0] * 4, "mem_bw": [1.0] * 4}), ["lowutilization"]),
        (job({"mem_bw": [400.0] * 4}), ["memorybound"]),
        (job({"mem_used": [250.0] * 4}), ["highmemory"]),
        (job({"mem_used": [250.0] * 4}, job_state="out_of_memory"), ["outofmemory"]),
        (job(samples={"mem_used": [10.0 + slot for slot in range(120)]}), ["memorygrows"]),
        (job(samples={"mem_used": [10.0] * 20 + [60.0] * 100}), []),
        (job(samples={"flops_any": HALF}), ["hangs"]),
        (job({"cpu_load": [72.0, 72.0, 0.1, 72.0]}), ["unusednodes", "lowload"]),
        (job({"flops_any": [900.0, 900.0, 900.0, 300.0]}), ["imbalance"]),
        (job({"acc_utilization": [80.0, 80.0, 80.0, 80.0]}, **GPU), []),
        (job({"acc_utilization": [80.0, 0.0, 80.0, 80.0]}, **GPU), ["unusedaccelerators"]),
        (job({"acc_utilization": [8.0, 9.0, 8.0, 8.0]}, **GPU), ["lowgpuload"]),
        (job({"acc_utilization": [80.0] * 4}, {"acc_utilization": HALF}, **GPU), ["acceleratorshang"]),
        (job({"acc_utilization": [80.0] * 4}, {"acc_utilization": OPPOSITE, "cpu_load": TURNS}, **GPU), ["alternating"]),
        (job({"acc_utilization": [80.0] * 4}, {"acc_utilization": OPPOSITE}, **GPU), []),
        (job(GPUS, **GPU), []),
        (job(GPUS | {"nv_sm_clock": [1400.0, 1400.0, 900.0, 1400.0], "nv_temp": [50.0, 50.0, 75.0, 50.0]}, **GPU), ["slowaccelerator"]),
        (job(GPUS | {"nv_sm_clock": [1400.0, 1400.0, 900.0, 1400.0], "nv_temp": [75.0, 50.0, 50.0, 50.0]}, **GPU), []),
        (job({"cpu_load": [10.0]}, **ONE_NODE), ["fewcores"]),
        (job({"cpu_load": [40.0]}, **ONE_NODE), ["lowload"]),
        (job(walltime=86_400), ["longwalltime"]),
        (job(walltime=86_400, job_state="failed"), []),
        (job(requested_memory=900_000, shared="single_user"), ["largememoryrequest"]),
    ],
)
def test_shipped_rules(found: JobFacts, rules: list[str]) -> None:
    advice = load_rules().advice(found)
    assert [one.rule for one in advice] == rules
    for one in advice:
        assert one.text.endswith(".")
        assert "{" not in one.text + one.action


def test_shipped_rules_are_all_usable() -> None:
    assert load_rules().refused == []


def test_sentences_have_numbers_and_units() -> None:
    texts = {one.rule: one for one in load_rules().advice(job(samples={"flops_any": HALF}))}
    assert texts["hangs"].text == "The job has computed nothing for 1 h."
    assert texts["hangs"].since == ROW["start_time"] + 3600
    assert texts["hangs"].metric == "flops_any"
    assert only(job({"acc_utilization": [80.0, 0.0, 80.0, 80.0]}, **GPU)).text == "1 of 4 accelerators is idle: gpu1 of f0100."
    assert only(job({"cpu_load": [72.0, 0.1, 72.0, 0.1]}), "unusednodes").text == "2 of 4 nodes do nothing: f0101 and f0103."
    imbalance = only(job({"flops_any": [900.0, 900.0, 900.0, 300.0]}))
    assert imbalance.text == "f0100 computes at 900 GFlops/s, f0103 at 300: a difference of 80 % of the mean."
    grows = only(job(samples={"mem_used": [10.0 + slot for slot in range(120)]}))
    assert grows.text == "The memory used only grows: by 281 % in the last 1 h 45 min, up to 129 GB."
    assert grows.since == ROW["start_time"] + 900
    slow: dict[str, Sequence[float]] = GPUS | {"nv_sm_clock": [1400.0, 1400.0, 900.0, 1400.0], "nv_temp": [50.0, 50.0, 75.0, 50.0]}
    assert only(job(slow, **GPU)).text == (
        "Accelerator gpu2 of f0100 runs at 900 MHz, 36 % below the median of the job's accelerators, and at 75 °C, 25 degrees above it."
    )


def only(found: JobFacts, rule: str | None = None) -> Advice:
    """The only advice, or that of ``rule``."""
    (advice,) = [one for one in load_rules().advice(found) if rule in (None, one.rule)]
    return advice


def test_a_node_that_stopped_sending_samples_is_named_as_failed() -> None:
    rows = {host: np.full(120, 70.0) for host in ("f0100", "f0101", "f0102", "f0103")}
    rows["f0102"] = np.append(np.full(90, 70.0), [np.nan] * 30)
    data: JobData = {"cpu_load": {"node": MetricData(Unit(), 60, tuple(series(host, None, row) for host, row in rows.items()))}}
    assert only(facts(data, job_state="node_fail")).text == "The job ended because f0102 failed."
    assert only(facts({}, job_state="node_fail")).text == "The job ended because one of its 4 nodes failed."
    assert only(facts({}, job_state="boot_fail", **ONE_NODE)).text == "The job ended because its node f0100 failed."


def test_rules_about_the_end_of_a_job_are_not_for_running_jobs() -> None:
    at_the_end = {rule.tag for rule in load_rules().rules} - {rule.tag for rule in load_rules().while_running().rules}
    assert at_the_end == {"outofmemory", "timelimit", "nodefailure", "longwalltime", "largememoryrequest"}
    assert load_rules().courses == {"flops_any", "mem_used", "cpu_load", "acc_utilization"}


def test_a_job_without_metrics_is_evaluated_by_its_record() -> None:
    record = facts_of(ROW | {"job_state": "timeout"}, CLUSTERS["fritz"], {}, {})
    assert [one.rule for one in load_rules().advice(record)] == ["timelimit"]


def test_rules_of_the_site_replace_shipped_ones_and_have_parameters_by_cluster(tmp_path: Path) -> None:
    (tmp_path / "load.toml").write_text(
        """
        tag = "lowload"
        title = "Low load"
        metrics = ["cpu_load"]
        parameters = { limit = 1 }
        when = "cpu_load.avg < limit"
        text = "The load is {cpu_load.avg}."
        [[override]]
        cluster = "fritz"
        limit = 50
        [[override]]
        cluster = "fritz"
        subcluster = "spr1tb"
        limit = 5
        """
    )
    rules = load_rules(tmp_path)
    assert [one.text for one in rules.advice(job({"cpu_load": [10.0] * 4}))] == ["The load is 10."]
    assert rules.advice(job({"cpu_load": [10.0] * 4}, subcluster="spr1tb")) == []


def cc_rule(folder: Path, **changes: Any) -> Rule:
    (folder / "parameters.json").write_text(json.dumps({"gpu_idle_pct": 10, "job_min_duration_seconds": 600}))
    text = {"name": "GPU idle", "tag": "gpuidle", "metrics": ["acc_utilization"], "rule": "true", "hint": "", "unknownKey": 1}
    (folder / "gpuidle.json").write_text(json.dumps(text | changes))
    return read_rule(folder / "gpuidle.json")


IDLE: dict[str, Sequence[float]] = {"acc_utilization": [8.0, 8.0, 8.0, 8.0]}


def test_rule_files_of_cc_backend_are_translated(tmp_path: Path) -> None:
    rule = cc_rule(
        tmp_path,
        parameters=["gpu_idle_pct"],
        requirements=["job.numAcc > 0", 'job.jobState == "completed"', "job.duration > 600 && !(job.numNodes > 4)"],
        variables=[
            {"name": "share", "expr": "acc_utilization.avg / acc_utilization.limits.peak"},
            {"name": "percent", "expr": "share * 10 ^ 2"},
        ],
        rule="percent < gpu_idle_pct and job.shared in ['none', 'single_user'] or false",
        hint='GPUs used at {{.share}} of peak, {{printf "%.1f%%" .acc_utilization.avg}} {of} all',
    )
    advice = rule.advice(job(IDLE, **GPU))
    assert advice is not None
    assert (advice.rule, advice.severity, advice.metric, rule.while_running) == ("gpuidle", "info", "acc_utilization", False)
    assert advice.text == "GPUs used at 0.08 of peak, 8.0% {of} all"
    assert cc_rule(tmp_path, rule="acc_utilization.max < 10").while_running


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        ("", "GPU idle"),  # its name
        ("{{.job.duration}} s on {{ .job.numNodes }} nodes, {{.job.shared}}", "7200 s on 1 nodes, none"),
        ("{{.acc_utilization.limits.peak}} {{.third}} {{.flag}}", "100 0.33 true"),
        ("a {{- .job.smt -}} b", "a1b"),
        ("{{.missing}} and {{.job.missing.more}}", "<no value> and <no value>"),
        ("{{/* why */}}done", "done"),
        (
            '{{printf "%.2f|%5.1f|%-6d|%+d|%03d|%e" .third .third .job.smt .job.smt .job.smt .third}}',
            "0.33|  0.3|1     |+1|001|3.300000e-01",
        ),
        ('{{printf "%s %v \\"quoted\\" 5%%" .job.shared .third}}', 'none 0.33 "quoted" 5%'),
        ('{{printf "no verbs"}}', "no verbs"),
    ],
)
def test_hints_are_written_as_by_cc_backend(tmp_path: Path, hint: str, text: str) -> None:
    variables = [{"name": "third", "expr": "1 / 3"}, {"name": "flag", "expr": "not false"}]
    advice = cc_rule(tmp_path, hint=hint, variables=variables).advice(job(IDLE, **GPU))
    assert advice is not None
    assert advice.text == text


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"hint": "{{range .x}}"}, "{{range .x}} cannot be translated"),
        ({"hint": "{{if .x}}a{{end}}"}, "cannot be translated"),
        ({"hint": "{{.job.duration | printf}}"}, "cannot be translated"),
        ({"hint": "{{.job.duration"}, "cannot be translated"),
        ({"hint": '{{printf "%x" .job.smt}}'}, "%x in printf cannot be translated"),
        ({"hint": '{{printf "%d %d" .job.smt}}'}, "printf has 2 verbs for 1 values"),
        ({"rule": "filter(x, {# > 1})"}, "rule: character"),
        ({"requirements": ["job.numAcc >"]}, "requirements: character 13"),
        ({"variables": [{"name": "share", "expr": "unknown(1)"}]}, "share: character 1: there is no function 'unknown'"),
        ({"parameters": ["gone"]}, "parameters: gone is not in parameters.json"),
        ({"metrics": "cpu_load"}, "metrics: "),
        ({"tag": ""}, "tag: "),
        ({"rule": 1}, "rule: "),
    ],
)
def test_a_rule_of_cc_backend_that_cannot_be_translated_is_named(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(RuleError) as e:
        cc_rule(tmp_path, **changes)
    assert str(e.value).startswith(f"{tmp_path / 'gpuidle.json'}: ")
    assert why in str(e.value)


def test_of_two_files_with_one_tag_the_later_counts(tmp_path: Path) -> None:
    cc_rule(tmp_path, hint="first")
    (tmp_path / "later.json").write_text(json.dumps({"tag": "gpuidle", "rule": "true", "hint": "second"}))
    assert {rule.tag: rule.text({}) for rule in load_rules(tmp_path).rules if rule.tag == "gpuidle"} == {"gpuidle": "second"}


def test_parameters_of_the_folder_are_for_all_rules_a_cluster_a_subcluster_or_one_rule(tmp_path: Path) -> None:
    (tmp_path / "parameters.toml").write_text(
        """
        [parameters]
        min_duration_s = 10000
        [[override]]
        cluster = "fritz"
        subcluster = "spr1tb"
        min_duration_s = 60
        [[override]]
        cluster = "fritz"
        rule = "memorybound"
        min_duration_s = 60
        """
    )
    rules = load_rules(tmp_path)
    assert rules.refused == []
    idle: dict[str, Sequence[float]] = {"cpu_load": [10.0] * 4, "mem_bw": [400.0] * 4}

    def found(parameters: dict[str, float] | None = None, **changes: Any) -> list[str]:
        return [one.rule for one in load_rules(tmp_path, parameters).advice(job(idle, **changes))]

    assert found() == ["memorybound"]
    assert found(subcluster="spr1tb") == ["lowload"]
    assert found({"min_duration_s": 60}) == ["lowload", "memorybound"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[parameters]\nwrong = 1", "no rule has the parameter wrong"),
        ('[[override]]\ncluster = "fritz"\nrule = "gone"', "there is no rule gone"),
        ("[[override]]\nmin_duration_s = 1", "override.0.cluster: Field required"),
        ("[parameters", "parameters.toml: "),
    ],
)
def test_parameters_of_the_folder_that_cannot_be_used_are_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "parameters.toml").write_text(text)
    rules = load_rules(tmp_path)
    (refused,) = rules.refused
    assert str(tmp_path / "parameters.toml") in refused
    assert why in refused
    assert len(rules.rules) == len(load_rules().rules)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.json", '{"tag": "x", "rule": "1 <", "hint": ""}', "rule: character 4"),
        ("a.json", '{"tag": "x", "rule": "true", "parameters": ["p"]}', "parameters: p is not in"),
        ("a.json", '{"tag": "x", "rule": "true", "hint": "{{range .x}}"}', "cannot be translated"),
        ("a.json", "{", "a.json"),
        ("a.json", '{"rule": "true"}', "tag"),
        ("a.toml", 'tag = "x"\ntitle = "t"\nwhen = "true"\ntext = "{"', "text: "),
        ("a.toml", 'tag = "x"\ntitle = "t"\nwhen = "true"\ntext = ""\nseverity = "bad"', "severity"),
        ("a.toml", 'tag = "x"\ntitle = "t"\nwhen = "true"\ntext = ""\nwrong = 1', "wrong"),
        ("a.toml", 'tag = "x"\ntitle = "t"\nwhen = "true"\ntext = ""\n[[override]]\ncluster = "c"\nlimit = 1', "limit is not a parameter"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_others_are_loaded(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text)
    rules = load_rules(tmp_path)
    assert len(rules.rules) == len(load_rules().rules)
    (refused,) = rules.refused
    assert str(tmp_path / name) in refused
    assert why in refused


def test_a_folder_that_is_missing_is_an_error() -> None:
    with pytest.raises(RuleError, match="/nowhere"):
        load_rules(Path("/nowhere"))


def test_an_explanation_has_each_step_with_its_value() -> None:
    rule = next(rule for rule in load_rules().rules if rule.tag == "imbalance")
    explained = rule.explain(job({"flops_any": [900.0, 900.0, 900.0, 800.0]}))
    assert explained.advice is None
    assert [(name, value[:5]) for name, _, value in explained.steps][-2:] == [("spread", "0.114"), ("when", "False")]
    lacking = rule.explain(facts_of(ROW, CLUSTERS["fritz"], {}, {}))
    assert lacking.steps == [("metrics", "flops_any", "the job has no flops_any")]


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("module load gromacs/2023\nsrun gmx_mpi mdrun -v", ["gromacs"]),
        ("srun ./half-upgrade pipeline dynamic", []),
        ("#!/bin/bash\n# srun vasp_std\necho done", []),
        ("srun /opt/vasp/bin/vasp_std", ["vasp"]),
        ("LMP_mpi < in.lj\nlmp -in x", ["lammps"]),
        ("python3.11 train.py", ["python"]),
        ("torchrun --nproc 8 train.py # gromacs", ["pytorch"]),
        ("simpleFoam -parallel", ["openfoam"]),
        ("", []),
    ],
)
def test_applications_are_found_as_whole_words_outside_comments(script: str, found: list[str]) -> None:
    assert Applications.read().in_script(script) == found


@pytest.mark.parametrize("pattern", ["python -m foo", r"foo(?=\\s)", "^srun", "vasp$"])
def test_a_pattern_that_no_single_word_can_match_is_refused(tmp_path: Path, pattern: str) -> None:
    file = tmp_path / "applications.toml"
    file.write_text(f'own = ["{pattern}"]\n', encoding="utf-8")
    with pytest.raises(RuleError, match=r"own: .* is compared with single words"):
        Applications.read(file)


def test_the_examples_in_the_docs_are_usable(tmp_path: Path) -> None:
    example, parameters = [
        part.split("```")[0] for part in (REPOSITORY / "docs/advice.md").read_text(encoding="utf-8").split("```toml\n")[1:]
    ]
    (tmp_path / "example.toml").write_text(example)
    rule = read_rule(tmp_path / "example.toml")
    advice = rule.advice(job({"acc_utilization": [80.0, 10.0, 10.0, 10.0]}, **GPU))
    assert advice is not None
    assert advice.text == "1 of 4 accelerators does the work for 2 h; on average 28 % are used."
    (tmp_path / "parameters.toml").write_text(parameters)
    assert load_rules(tmp_path).refused == []


def test_the_page_names_every_function_and_every_shipped_rule() -> None:
    page = (REPOSITORY / "docs/advice.md").read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"`{name}" not in page] == []
    assert [rule.tag for rule in load_rules().rules if f"| `{rule.tag}` |" not in page] == []


def test_parameters_of_the_site_replace_those_of_the_rules_and_a_misspelt_one_is_named() -> None:
    short = job({"cpu_load": [10.0] * 4}, duration=60, walltime=600)
    assert [one.rule for one in load_rules(parameters={"min_duration_s": 30}).advice(short)] == ["lowload"]
    with pytest.raises(RuleError, match="min_duration"):
        load_rules(parameters={"min_duration": 30})


def test_memory_is_compared_in_the_unit_of_the_metric() -> None:
    changed = json.loads(cluster_text("fritz"))
    for metric in changed["metricConfig"]:
        if metric["name"] == "mem_used":
            metric["unit"] = {"base": "B", "prefix": "M"}
    statistics = {"mem_used": {"avg": 900.0, "min": 900.0, "max": 9000.0}}
    row = ROW | {"shared": "single_user", "requested_memory": 90_000}
    (found,) = load_rules().advice(facts_of(row, read_cluster(json.dumps(changed).encode()), statistics, {}))
    assert found.text == "The job used up to 9,000 MB of the 90 GB of memory that it requested."


def running(values: dict[str, float], advice: list[dict[str, Any]]) -> JobAdvised | None:
    """The event on a job of fritz that has run for two hours and has had this advice."""
    statistics = {name: dict.fromkeys(("avg", "min", "max"), value) for name, value in values.items()}
    row = ROW | {"id": 7, "job_state": "running", "duration": 0, "advice": json.dumps(advice) if advice else None}
    at = ROW["start_time"] + 7200
    return advise_running(row, CLUSTERS["fritz"], statistics, {}, {}, load_rules().while_running(), at=at)


def test_a_running_job_has_an_event_only_when_other_rules_hold_than_before() -> None:
    known = {"rule": "lowload", "severity": "warning", "text": "The load was low.", "since": 1_760_000_900}
    begins = running({"cpu_load": 10.0}, [])
    assert begins is not None
    assert [(one.rule, one.since) for one in begins.advice or []] == [("lowload", ROW["start_time"] + 7200)]
    assert begins.while_running
    assert running({"cpu_load": 10.0}, [known]) is None
    assert running({"cpu_load": 10.0}, [known | {"muted": True}]) is None
    another = running({"cpu_load": 10.0, "mem_bw": 400.0}, [known])
    assert another is not None
    assert [(one.rule, one.since) for one in another.advice or []] == [
        ("lowload", 1_760_000_900),
        ("memorybound", ROW["start_time"] + 7200),
    ]
    ends = running({"cpu_load": 72.0}, [known])
    assert ends is not None
    assert ends.advice == []
    assert running({"cpu_load": 72.0}, [{"rule": "lowload", "muted": True}]) is None


def test_texts_that_contain_long_lists_are_cut(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(
        'tag = "long"\ntitle = "t"\nwhen = "job.numNodes > 1"\ntext = "{job.hosts}"\naction = "Look at {job.hosts}."\n'
    )
    hosts = [{"hostname": f"f{n:04}"} for n in range(1000)]
    row = ROW | {"id": 7, "job_state": "running", "duration": 0, "advice": None, "resources": json.dumps(hosts)}
    event = advise_running(row, CLUSTERS["fritz"], {}, {}, {}, load_rules(tmp_path).while_running(), at=ROW["start_time"] + 7200)
    assert event is not None
    (found,) = [one for one in event.advice or [] if one.rule == "long"]
    assert [len(found.text), len(found.action)] == [2000, 2000]
    assert found.text.startswith("f0000, f0001, ")
    assert found.text.endswith("…")
