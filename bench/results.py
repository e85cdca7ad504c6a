"""Measured figures and their targets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Target:
    """With ``is_upper`` the measured value must not exceed ``value``; otherwise it must reach it."""

    value: float
    is_upper: bool = False

    def is_met(self, measured: float) -> bool:
        return measured <= self.value if self.is_upper else measured >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.is_upper else '≥'} {number(self.value)}"


@dataclass(frozen=True, slots=True)
class Result:
    """One figure. ``setting`` describes the site it was measured on; ``compared`` is the figure of cc-backend v1.5.4."""

    what: str
    value: float
    unit: str
    setting: Mapping[str, str]
    target: Target | None = None
    compared: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        return None if self.target is None else self.target.is_met(self.value)


@dataclass(frozen=True, slots=True)
class RowReport:
    """``error`` is set when the row failed; results are then those measured before."""

    row: str
    title: str
    scale: str
    machine: Mapping[str, Any]
    took_s: float
    results: Sequence[Result]
    error: str | None = None

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        document = asdict(self)
        for text, result in zip(document["results"], self.results, strict=True):
            text["met"] = result.is_met
        file = folder / f"{self.row}.json"
        file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        return file


def number(value: float) -> str:
    """Three significant digits, with thousands separators."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def table(reports: Sequence[RowReport]) -> Table:
    """All figures, one per line."""
    made = Table(title="Benchmark", title_justify="left", show_lines=False)
    for name in ("row", "what", "setting"):
        made.add_column(name, overflow="fold")
    for name in ("measured", "target", ""):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("cc-backend 1.5.4", overflow="fold")
    for report in reports:
        for place, result in enumerate(report.results):
            verdict = {True: "[green]met[/]", False: "[red]short[/]", None: ""}[result.is_met]
            made.add_row(
                report.row if place == 0 else "",
                result.what,
                ", ".join(result.setting.values()),
                f"{number(result.value)} {result.unit}".strip(),
                str(result.target or ""),
                verdict,
                result.compared,
            )
        if report.error:
            made.add_row(report.row, f"[red]broke off: {escape(report.error)}[/]", "", "", "", "", "")
        made.add_section()
    return made
