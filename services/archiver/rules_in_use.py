"""Records which rules are in use, so that the gateway can show them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from services.archiver.advice import Adviser
from shared.advice import Applications, Rule, Rules
from shared.advice.rulefiles import SHIPPED, shipped_tags
from shared.backoff import Backoff, sleep_unless
from shared.broker.rules import RecordedRules, RuleInUse, RuleOverride, RulesInUse
from shared.errors import Unavailable

log = structlog.get_logger()

LOOK_S = 5.0
AGAIN_S = 600.0  # an unchanged record is written again, since the bucket may have been created again
WITHIN_S = LOOK_S + 120.0  # one iteration, with room for a slow broker
MAX_RULES = 500
MAX_LINES = 100
MAX_LINE = 500  # characters


class RulesRecorder:
    """Replicas record their own; the last one is shown."""

    def __init__(self, adviser: Adviser | None, recorded: RecordedRules) -> None:
        self._adviser = adviser
        self._recorded = recorded

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """Record at start and when files have changed, until ``stop``."""
        pause = Backoff(first_s=1.0, max_s=60.0)
        seen: object = None
        written_at = -AGAIN_S
        while not stop.is_set():
            tick()
            current = await asyncio.to_thread(self._adviser.in_use) if self._adviser is not None else None
            if current is not seen or time.monotonic() - written_at >= AGAIN_S:
                try:
                    await self._recorded.record(described(current, self._adviser.folder if self._adviser is not None else None))
                except Unavailable as e:
                    log.warning("rules_not_recorded", why=str(e))
                    await pause.wait(stop)
                    continue
                pause.reset()
                seen, written_at = current, time.monotonic()
            await sleep_unless(stop, LOOK_S)


def described(in_use: tuple[Rules, Applications] | None, folder: Path | None) -> RulesInUse:
    """None: advice is disabled."""
    if in_use is None:
        return RulesInUse(at=int(time.time()), is_enabled=False)
    rules, applications = in_use
    shipped = shipped_tags()
    return RulesInUse(
        at=int(time.time()),
        is_enabled=True,
        folder=None if folder is None else str(folder),
        rules=[_rule(rule, shipped) for rule in sorted(rules.rules, key=lambda rule: rule.tag)[:MAX_RULES]],
        refused=_lines(rules.refused),
        ignored=_lines(rules.ignored),
        applications=applications.names,
    )


def _lines(lines: Sequence[str]) -> list[str]:
    return [line[:MAX_LINE] for line in lines[:MAX_LINES]]


def _rule(rule: Rule, shipped: frozenset[str]) -> RuleInUse:
    is_shipped = rule.file is not None and rule.file.parent == SHIPPED
    return RuleInUse(
        tag=rule.tag,
        title=rule.title,
        severity=rule.severity,
        file="" if rule.file is None else rule.file.name,
        is_shipped=is_shipped,
        replaces_shipped=not is_shipped and rule.tag in shipped,
        while_running=rule.while_running,
        metrics=list(rule.metrics),
        parameters=dict(rule.parameters.defaults),
        overrides=[RuleOverride(cluster, sub, dict(values)) for cluster, sub, values in rule.parameters.overrides if values],
        link=rule.link,
    )
