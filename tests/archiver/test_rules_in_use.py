"""The archiver records which rules it uses, and the gateway shows them."""

from pathlib import Path

from services.archiver.advice import Adviser
from services.archiver.rules_in_use import described
from services.archiver.settings import ArchiverSettings, Settings
from shared.broker.rules import RecordedRules, RulesInUse
from shared.metricdata.settings import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.nats import client_of
from tests.support.processes import ServiceRunner
from tests.support.waiting import until

RULE = """
tag = "{tag}"
title = "Mine"
when = "job.numNodes > most"
parameters = {{ most = 10 }}
text = "Many nodes."
[[override]]
cluster = "alex"
subcluster = "a40"
most = 3
"""


def test_rules_are_described_with_their_files_and_what_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(RULE.format(tag="mine"))
    (tmp_path / "load.toml").write_text(RULE.format(tag="lowload"))
    (tmp_path / "broken.toml").write_text("tag = 7")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "parameters.toml").write_text('[[override]]\ncluster = "fritz"\nrule = "mine"\nmost = 40\n')
    adviser = Adviser(ArchiverSettings(advice_rules=tmp_path))
    found = described(adviser.in_use(), tmp_path)
    rules = {rule.tag: rule for rule in found.rules}
    assert (rules["mine"].file, rules["mine"].is_shipped, rules["mine"].replaces_shipped) == ("mine.toml", False, False)
    assert [(one.cluster, one.subcluster, one.values) for one in rules["mine"].overrides] == [
        ("alex", "a40", {"most": 3}),
        ("fritz", None, {"most": 40}),
    ]
    assert (rules["lowload"].file, rules["lowload"].replaces_shipped) == ("load.toml", True)
    assert (rules["hangs"].file, rules["hangs"].is_shipped, rules["hangs"].while_running) == ("hangs.toml", True, True)
    assert [("broken.toml" in line) for line in found.refused] == [True]
    assert [("notes.txt" in line) for line in found.ignored] == [True]
    assert "vasp" in [name.lower() for name in found.applications]
    assert described(None, None).is_enabled is False


async def test_a_running_archiver_records_its_rules_and_what_has_changed(
    site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings, service: ServiceRunner, tmp_path: Path
) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    own = Settings(site, database, archive_settings, MetricsSettings(), ArchiverSettings(advice_rules=folder))
    await service.start("archiver", own.nats, own.database, own.archive, own.archiver)
    async with client_of(site) as client:
        recorded = RecordedRules(client, site)

        async def rules() -> RulesInUse | None:
            return await recorded.read()

        first = await until(rules, 30, "the rules")
        assert first is not None
        assert "mine" not in {rule.tag for rule in first.rules}
        (folder / "mine.toml").write_text(RULE.format(tag="mine"))

        async def has_mine() -> bool:
            found = await recorded.read()
            return found is not None and "mine" in {rule.tag for rule in found.rules}

        await until(has_mine, 30, "the new rule")
