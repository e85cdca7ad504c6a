"""The published JSON schemas of archive files."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FOLDER = Path(__file__).parents[1] / "data" / "schemas"


@cache
def validator(name: str) -> Draft202012Validator:
    schemas = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
    registry: Registry[Any] = Registry().with_resources((schema["$id"], DRAFT202012.create_resource(schema)) for schema in schemas.values())
    return Draft202012Validator(schemas[f"{name}.schema.json"], registry=registry)


def problems(name: str, document: Any) -> list[str]:
    """The schema's errors for the document, except for its metrics and their units, which depend on the site."""
    found = []
    for error in validator(name).iter_errors(document):
        path = "/".join(str(part) for part in error.path)
        lacks_metric = error.validator == "required" and path == {"job-data": "", "job-meta": "statistics"}[name]
        has_own_unit = error.validator == "enum" and path.endswith(("unit/base", "unit/prefix"))
        if not (lacks_metric or has_own_unit):
            found.append(f"{path}: {error.message[:200]}")
    return found
