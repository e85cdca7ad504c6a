"""Advice on jobs: rules over the record and the metrics of a job, evaluated to sentences. The shipped rules are in ``shipped/``."""

from shared.advice.advising import advise, advise_running, applications_of
from shared.advice.applications import Applications
from shared.advice.facts import JobFacts, facts_of
from shared.advice.rulefiles import load_rules, read_rule, shipped_titles
from shared.advice.rules import Advice, Rule, RuleError, Rules

__all__ = [
    "Advice",
    "Applications",
    "JobFacts",
    "Rule",
    "RuleError",
    "Rules",
    "advise",
    "advise_running",
    "applications_of",
    "facts_of",
    "load_rules",
    "read_rule",
    "shipped_titles",
]
