"""Reading rules: files in TOML, and the JSON files of cc-backend, which ``ccrules`` translates."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.advice.ccrules import PARAMETERS_FILE, JsonRule, json_parameters, translated
from shared.advice.courses import FIELDS
from shared.advice.operations import ExpressionError
from shared.advice.rules import Parameters, Rule, RuleError, Rules, Severity, compiled, step
from shared.advice.template import compile_template

SHIPPED = Path(__file__).parent / "shipped"
SITE_PARAMETERS_FILE = "parameters.toml"
_SUFFIXES = (".toml", ".json")
MAX_FILE_BYTES = 64 * 1024
_COURSE = r"\b{}\.(?:" + "|".join(FIELDS) + r")\b"
_STATE = re.compile(r"\bjob\.(?:state|jobState)\b")

T = TypeVar("T")
Values = dict[str, float | int | str | bool]


class _Override(BaseModel):
    model_config = ConfigDict(extra="allow")

    cluster: str
    subcluster: str | None = None

    @property
    def values(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class _RuleOverride(_Override):
    rule: str | None = None


class _TomlRule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tag: str = Field(pattern=r"^[A-Za-z][\w-]*$", max_length=64)
    title: str
    severity: Severity = "info"
    metrics: list[str] = []
    metric: str = ""
    parameters: Values = {}
    override: list[_Override] = []
    requires: list[str] = []
    variables: dict[str, str] = {}
    when: str
    text: str
    action: str = ""
    since: str | None = None
    running: bool | None = None
    link: str = Field("", pattern=r"^(https?://\S+)?$", max_length=500)


class _SiteParameters(BaseModel):
    """The file ``parameters.toml`` of a folder: values for all rules that have the parameter, or for one rule."""

    model_config = ConfigDict(extra="forbid")

    parameters: Values = {}
    override: list[_RuleOverride] = []


def load_rules(folder: Path | None = None, parameters: Mapping[str, Any] | None = None) -> Rules:
    """The shipped rules, and those of ``folder``, which replace shipped ones with the same tag.

    ``parameters`` replace the defaults of all rules that have them. Raises RuleError for one that no rule has.
    A file that cannot be used is refused by name and the others are loaded. Raises RuleError when the folder cannot be read.
    """
    rules: dict[str, Rule] = {}
    refused: list[str] = []
    ignored: list[str] = []
    for place in [SHIPPED] if folder is None else [SHIPPED, folder]:
        files = _files(place)
        ignored += [f"{file}: not a rule, since its name does not end in .toml or .json" for file in files if file.suffix not in _SUFFIXES]
        for file in files:
            if file.suffix not in _SUFFIXES or file.name in (PARAMETERS_FILE, SITE_PARAMETERS_FILE):
                continue
            try:
                rule = read_rule(file)
            except RuleError as e:
                refused.append(str(e))
            else:
                rules[rule.tag] = rule
    known = {name for rule in rules.values() for name in rule.parameters.defaults}
    if unknown := sorted(set(parameters or {}) - known):
        raise RuleError(f"advice_parameters: no rule has the parameter {unknown[0]}")
    of_site = _SiteParameters()
    if folder is not None:
        try:
            of_site = _site_parameters(folder / SITE_PARAMETERS_FILE, rules)
        except RuleError as e:
            refused.append(str(e))
    given = of_site.parameters | dict(parameters or {})
    return Rules([_with_parameters(rule, given, of_site.override) for rule in rules.values()], refused, ignored)


@cache
def shipped_titles() -> Mapping[str, str]:
    """By tag."""
    return {rule.tag: rule.title for rule in load_rules().rules}


def shipped_tags() -> frozenset[str]:
    return frozenset(shipped_titles())


def _files(folder: Path) -> list[Path]:
    """Without hidden ones and modules of the package."""
    try:
        return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".") and file.suffix != ".py")
    except OSError as e:
        raise RuleError(f"{folder}: {e.strerror}") from e


def _site_parameters(file: Path, rules: Mapping[str, Rule]) -> _SiteParameters:
    if not file.exists():
        return _SiteParameters()
    found = _read(file, lambda text: _SiteParameters.model_validate(tomllib.loads(text)))
    known = {name for rule in rules.values() for name in rule.parameters.defaults}
    for names in (found.parameters, *(one.values for one in found.override)):
        if unknown := sorted(set(names) - known):
            raise RuleError(f"{file}: no rule has the parameter {unknown[0]}")
    if unknown := sorted({one.rule for one in found.override if one.rule is not None} - rules.keys()):
        raise RuleError(f"{file}: there is no rule {unknown[0]}")
    return found


def _with_parameters(rule: Rule, given: Mapping[str, Any], overrides: Sequence[_RuleOverride]) -> Rule:
    own = rule.parameters
    defaults = {name: given.get(name, value) for name, value in own.defaults.items()}
    later = [
        (one.cluster, one.subcluster, {name: value for name, value in one.values.items() if name in defaults})
        for one in overrides
        if one.rule in (None, rule.tag)
    ]
    return replace(rule, parameters=Parameters(defaults, [*own.overrides, *later]))


def read_rule(file: Path) -> Rule:
    """Raises RuleError with the file and the key."""
    return _read(file, lambda text: _rule(file, text))


def _read(file: Path, parse: Callable[[str], T]) -> T:
    """Raises RuleError with the file and the key."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise RuleError(f"{file}: more than {MAX_FILE_BYTES // 1024} KiB")
        return parse(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise RuleError(f"{file}: {e.strerror}") from e
    except ValidationError as e:
        first = e.errors()[0]
        raise RuleError(f"{file}: {'.'.join(map(str, first['loc'])) or 'the rule'}: {first['msg']}") from e
    except (ValueError, ExpressionError) as e:
        raise RuleError(f"{file}: {e}") from e


def _rule(file: Path, text: str) -> Rule:
    if file.suffix == ".json":
        rule = translated(JsonRule.model_validate(orjson.loads(text)), json_parameters(file.with_name(PARAMETERS_FILE)))
        running = None
    else:
        given = _TomlRule.model_validate(tomllib.loads(text))
        rule, running = _from_toml(given), given.running
    sources = [rule.text.source, rule.action.source, *(one.source for one in rule.steps)]
    return replace(
        rule,
        file=file,
        while_running=not any(map(_STATE.search, sources)) if running is None else running,
        courses=frozenset(name for name in rule.metrics if any(re.search(_COURSE.format(re.escape(name)), one) for one in sources)),
    )


def _from_toml(given: _TomlRule) -> Rule:
    overrides = [(one.cluster, one.subcluster, one.values) for one in given.override]
    for number, (_, _, changed) in enumerate(overrides):
        if unknown := sorted(set(changed) - set(given.parameters)):
            raise ValueError(f"override {number + 1}: {unknown[0]} is not a parameter of the rule")
    return Rule(
        tag=given.tag,
        title=given.title,
        severity=given.severity,
        metrics=given.metrics,
        metric=given.metric or next(iter(given.metrics), ""),
        parameters=Parameters(given.parameters, overrides),
        requires=[step("requires", text) for text in given.requires],
        variables=[step(name, text) for name, text in given.variables.items()],
        when=step("when", given.when),
        text=compiled("text", compile_template, given.text),
        action=compiled("action", compile_template, given.action),
        since=None if given.since is None else step("since", given.since),
        link=given.link,
    )
