"""Generated files in docs/ are up to date."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from services.ingest.translate import IntakeSubjects, RawMessage, Translator
from shared.asyncapi import document
from shared.broker.envelope import REPLAYS
from shared.domain import reasons
from shared.domain.events import EVENT_TYPES
from shared.generated_docs import PAGES
from shared.settings import NatsSettings
from tests.support.clusters import DATA, sample_clusters

DOCS = Path(__file__).parents[2] / "docs"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    """``python -m shared.generated_docs docs`` updates it."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_code_is_listed_once() -> None:
    codes = [value for name, value in vars(reasons).items() if name.isupper() and not name.startswith("_") and isinstance(value, str)]
    assert sorted(codes) == sorted(reasons.REASONS)
    assert len(set(codes)) == len(codes)
    assert list(reasons.REMEDIES) == list(reasons.REASONS)
    for code, remedy in reasons.REMEDIES.items():
        assert ("replay" in remedy.lower()) <= (code not in reasons.NO_REPLAY_HELPS), code
        assert ("lost unless it sends it again" in remedy) <= (code in reasons.NO_REPLAY_HELPS), code
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_schemas_are_valid_and_their_references_resolve() -> None:
    schemas = document()["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(document())
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        found = document()
        for step in reference.split("/"):
            found = found[step]
        assert found


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_the_description_of_an_event_fits_an_event(name: str) -> None:
    description = document()
    stored = json.loads((DATA / "events" / f"{name}.v1.json").read_text(encoding="utf-8"))
    for schema, instance in ((EVENT_TYPES[name].__name__, stored["body"]), ("Headers", stored["headers"])):
        whole = {"$ref": f"#/components/schemas/{schema}", "components": description["components"]}
        jsonschema.Draft202012Validator(whole).validate(instance)
    address = description["channels"][name]["address"]
    assert re.fullmatch(re.sub(r"\\{\w+\\}", r"[^.]+", re.escape(address)), stored["subject"])
    assert description["components"]["messages"][name]["name"] == stored["headers"]["ce-type"]
    described = set(description["components"]["schemas"]["Headers"]["properties"])
    assert set(stored["headers"]) == described - {REPLAYS}  # added after the examples


def test_docs_name_every_event_and_header() -> None:
    text = (DOCS / "events.md").read_text(encoding="utf-8")
    headers = document()["components"]["schemas"]["Headers"]["properties"]
    assert [name for name in [*EVENT_TYPES, *headers] if f"`{name}`" not in text] == []


@pytest.mark.parametrize(("kind", "subject"), [("job", "cc.job.event"), ("node", "cc.node.state")])
def test_the_lines_in_the_docs_become_events(kind: str, subject: str) -> None:
    text = (DOCS / "events.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```lp {kind}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    translator = Translator(IntakeSubjects(NatsSettings()), sample_clusters(), 1024 * 1024)
    names = [e.event.name for block in blocks for e in translator.translate(RawMessage(subject, block.encode(), "INTAKE", 1, NOW))]
    assert names == {"job": ["job.started", "job.stopped"], "node": ["node.reported"]}[kind]
