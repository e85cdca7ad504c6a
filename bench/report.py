"""``python -m bench.report``: the figures in ``var/bench`` as the table of ``docs/benchmarks.md``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from bench.__main__ import OUTPUT, ROWS
from bench.results import Target, number

_VERDICTS = {True: "met", False: "**short**", None: ""}
_HEAD = """\
| row | figure | setting | measured | target | | cc-backend | load |
| --- | --- | --- | ---: | ---: | --- | --- | --- |"""


def lines(folder: Path) -> Iterator[str]:
    """Rows that were not run are left out."""
    yield _HEAD
    for row in ROWS:
        file = folder / f"{row}.json"
        if not file.exists():
            continue
        report: dict[str, Any] = orjson.loads(file.read_bytes())
        before, after = (report["machine"][key][0] for key in ("load_before", "load_after"))
        first = [f"`{row}`", f"{before:.1f} → {after:.1f}"]
        for result in report["results"]:
            name, load = first
            first = ["", ""]
            target = str(Target(**result["target"])) if result["target"] else ""
            cells = [
                name,
                result["what"],
                ", ".join(result["setting"].values()),
                f"{number(result['value'])} {result['unit']}".strip(),
                target,
                _VERDICTS[result["met"]],
                result["compared"],
                load,
            ]
            yield f"| {' | '.join(cells)} |"
        if report["error"]:
            yield f"| {first[0]} | broke off | | | | | | |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines(OUTPUT))
