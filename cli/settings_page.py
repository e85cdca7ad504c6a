"""All settings of all services, generated from their declarations; ``docs/configuration.md`` is the output."""

import dataclasses
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cli.embedded.services import SERVICES
from cli.embedded.settings import UpSettings
from cli.keys import PRIVATE_KEY_VARIABLES
from shared.settings import CONFIG_VARIABLE, PREFIX, LogSettings, SettingsGroup

INTRODUCTION = f"""\
# Configuration

Generated from the code by `jobtide settings --markdown > docs/configuration.md`; a test compares the two.

A setting is read from the environment, else from a TOML file, else it has its default. The file is the one that
`{CONFIG_VARIABLE}` names; each section below is a table of it. Lists are JSON in the environment and arrays in the file.

```toml
[nats]
url = "nats://broker.example:4222"

[jobstore]
batch = 500
```

is the same as `{PREFIX}NATS_URL=nats://broker.example:4222` and `{PREFIX}JOBSTORE_BATCH=500`. A value that cannot be used
ends the program at its start with one line that names the setting, and exit code 2; so does a section or a setting that
does not exist. A variable of a section that does not exist is left alone; services warn when it looks misspelt.
`jobtide up` sets the addresses, the database, the archive and the keys of its site by itself.
"""

_KEY_VARIABLES = ", ".join(f"`{name}`" for name in PRIVATE_KEY_VARIABLES)
CLOSING = f"""\
## Only for commands

| variable | meaning |
|---|---|
| `{CONFIG_VARIABLE}` | The TOML file. |
| {_KEY_VARIABLES} | Base64 of an Ed25519 private key, made by `jobtide keys`; `jobtide token` signs with it. |
"""


def groups() -> dict[type[SettingsGroup], list[str]]:
    """Every settings group with the services that read it, shared ones first."""
    readers: dict[type[SettingsGroup], list[str]] = {}
    for service in SERVICES:
        module = importlib.import_module(f"services.{service}.settings")
        for group in _groups_of(module.Settings):
            readers.setdefault(group, []).append(service)
    readers[LogSettings] = list(SERVICES)
    readers[UpSettings] = ["`jobtide up`"]
    return dict(sorted(readers.items(), key=lambda item: -len(item[1])))


def _groups_of(settings: type[Any]) -> Iterator[type[SettingsGroup]]:
    hints = get_type_hints(settings)
    for field in dataclasses.fields(settings):
        if isinstance(hints[field.name], type) and issubclass(hints[field.name], SettingsGroup):
            yield hints[field.name]


def page() -> str:
    parts = [INTRODUCTION]
    for group, readers in groups().items():
        everyone = len(readers) == len(SERVICES)
        parts.append(
            f"## [{group.section}]\n\n{' '.join((group.__doc__ or '').split())}"
            f" Read by {'all services' if everyone else ', '.join(readers)}.\n\n"
            "| setting | variable | default | values | meaning |\n|---|---|---|---|---|\n"
            + "".join(_row(group, name, field) for name, field in group.model_fields.items())
        )
    return "\n".join([*parts, CLOSING])


def _row(group: type[SettingsGroup], name: str, field: FieldInfo) -> str:
    variable = f"{PREFIX}{group.section}_{name}".upper()
    cells = (f"`{name}`", f"`{variable}`", default_of(field), values_of(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def default_of(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None or value == "":
        return "unset"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, str | Path):
        return f"`{value}`"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{json.dumps(value)}`"


def values_of(field: FieldInfo) -> str:
    """Type and bounds as text."""
    bounds = []
    for bound in field.metadata:
        for attribute, word in (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below")):
            limit = getattr(bound, attribute, None)
            if limit is not None:
                bounds.append(f"{word} {limit:g}" if limit < 1e6 else f"{word} {limit}")
    return " ".join([_kind(field.annotation), *bounds])


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list of {_kind(get_args(annotation)[0])}s"
    if get_origin(annotation) is dict:
        return "JSON object"
    options = [option for option in get_args(annotation) if option is not type(None)]
    if options:
        return " or ".join(_kind(option) for option in options)
    return {int: "integer", float: "number", bool: "true or false", Path: "path", SecretStr: "secret text"}.get(annotation, "text")


def run_settings(*, markdown: bool) -> None:
    if markdown:
        print(page(), end="")
        return
    from rich.table import Table

    from cli.tables import print_tables

    table = Table("variable", "default", "meaning", box=None, pad_edge=False)
    for group in groups():
        for name, field in group.model_fields.items():
            table.add_row(f"{PREFIX}{group.section}_{name}".upper(), default_of(field).strip("`"), field.description or "")
    print_tables(table)
