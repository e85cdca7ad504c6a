"""Strict validation of the JSON objects that adapters send.

Keys match regardless of case, the last of repeated keys wins, an unknown key at any depth refuses the object, ``null``
keeps the default of a scalar, and integers must be integer literals. Source: event interface 1.6.

An unusable value refuses the object, unless its field is marked as informative: then the field keeps its default,
and the object records an oddity.
"""

import json
import types
from functools import cache
from typing import Any, NamedTuple, TypeVar, Union, cast, get_args, get_origin

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain import oddities, reasons
from shared.domain.oddities import Oddity
from shared.errors import Refused


class WireModel(BaseModel):
    """An object on the wire: camelCase names, no unknown fields, no conversion between types."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


class Payload(WireModel):
    """The whole object of a message, with its oddities."""

    @property
    def oddities(self) -> tuple[Oddity, ...]:
        found: tuple[Oddity, ...] = self.__dict__.get("_oddities", ())  # a private attribute of pydantic costs 2 us per object
        return found


class Informs(NamedTuple):
    """Marks an informative field, which never refuses its object. With ``as_text``, unusable values of a map are stored as JSON text."""

    as_text: bool = False


INFORMS, INFORMS_AS_TEXT = Informs(), Informs(as_text=True)

M = TypeVar("M", bound=WireModel)

MAX_FIELD = 200  # characters of a field name in a refusal, because keys of maps come from outside
MAX_ODDITIES = 20  # per object; a report of nodes may have one for each node
_MAX_QUOTED = 60  # characters of an unusable value in an oddity


def read_object(model: type[M], text: bytes) -> tuple[M, bool]:
    """Read the first JSON value of ``text``. The flag is True if other text follows it.

    Raises Refused with the code and the dotted name of the field.
    """
    if b"u0000" not in text:
        try:
            return model.model_validate_json(text, by_alias=True, by_name=False), False
        except ValidationError:
            pass  # a fault, or a form that is read more leniently below: keys in another case, nulls, text after the object
    value, has_rest, is_repaired = _decoded(text)
    result = read_value(model, value)
    if is_repaired and isinstance(result, Payload):
        add_oddity(result, NOT_UTF8)
    return result, has_rest


NOT_UTF8 = Oddity(code=oddities.NOT_UTF8, text="bytes that are not UTF-8 were replaced by U+FFFD")


def add_oddity(payload: Payload, oddity: Oddity) -> None:
    payload.__dict__["_oddities"] = (*payload.oddities, oddity)


def read_value(model: type[M], value: Any) -> M:
    """Like ``read_object`` for a decoded object."""
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise Refused(reasons.INVALID_JSON, f"expected a JSON object, got {_kind(value)}")
    normalised = _normalise(model, value, "")
    found: list[Oddity] = []
    while True:
        try:
            result = model.model_validate(normalised)
        except ValidationError as e:
            repaired = _repair(model, normalised, e)
            if not repaired:
                raise refusal(e) from e
            found += repaired
        else:
            if found and isinstance(result, Payload):
                result.__dict__["_oddities"] = tuple(found[:MAX_ODDITIES])
            return result


def _repair(model: type[WireModel], value: dict[str, Any], error: ValidationError) -> list[Oddity]:
    """Remove the unusable values of informative fields, or convert them to text. Empty if another field has an error too."""
    places: dict[tuple[int | str, ...], str] = {}
    for finding in error.errors(include_url=False, include_context=False):
        place = _informing(model, finding["loc"])
        if place is None:
            return []
        places.setdefault(place, str(finding["msg"]))
    return [_repair_one(model, value, place, message) for place, message in places.items()]


def _informing(model: type[WireModel], location: tuple[int | str, ...]) -> tuple[int | str, ...] | None:
    """The position of the informative field at or above a location."""
    place: tuple[int | str, ...] = ()
    while location:
        field = _fields(model).get(str(location[0]))
        if field is None:
            return None
        place += location[:1]
        if field.informs is not None:
            return place
        if field.model is None:
            return None
        steps = 1 if field.container is None else 2
        place += location[1:steps]
        model, location = field.model, location[steps:]
    return None


def _repair_one(model: type[WireModel], value: dict[str, Any], place: tuple[int | str, ...], message: str) -> Oddity:
    *path, last = place
    owner: Any = value
    for step in path:
        owner = owner[step]
    unusable = owner[last]
    field = _fields(model).get(str(last)) if not path else None
    if field is not None and field.informs is not None and field.informs.as_text and isinstance(unusable, dict):
        others = sorted(key for key, item in unusable.items() if not isinstance(item, str))
        owner[last] = {key: item if isinstance(item, str) else _json(item) for key, item in unusable.items()}
        keys = ", ".join(map(repr, others))
        return Oddity(code=oddities.VALUE_AS_TEXT, field=_dotted(place), text=f"the JSON of {keys[:MAX_FIELD]} is stored as text")
    del owner[last]
    quoted = _json(unusable)
    quoted = quoted if len(quoted) <= _MAX_QUOTED else quoted[:_MAX_QUOTED] + "\u2026"
    return Oddity(code=oddities.UNUSABLE_VALUE, field=_dotted(place), text=f"{quoted} is not used: {message}")


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "a deeply nested value"


def read_list(model: type[M], text: bytes) -> list[M]:
    """Read a JSON list of objects; ``null`` is an empty list. Raises Refused."""
    value, _ = first_value(text)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(reasons.INVALID_JSON, f"expected a JSON list, got {_kind(value)}")
    items = []
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise Refused(reasons.INVALID_VALUE, "is not an object", field=str(index))
        try:
            items.append(read_value(model, item))
        except Refused as e:
            raise Refused(e.code, e.text, field=f"{index}.{e.field}") from e
    return items


def refusal(error: ValidationError) -> Refused:
    """The first error of a validation as a refusal that names the field."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = _dotted(first["loc"])
    if first["type"] == "missing":
        return Refused(reasons.MISSING_FIELD, "is missing", field=field)
    if first["type"] in ("string_too_short", "too_short"):
        return Refused(reasons.MISSING_FIELD, "is empty", field=field)
    if first["type"] == "extra_forbidden":
        return Refused(reasons.UNKNOWN_FIELD, "is not a known field", field=field)
    return Refused(reasons.INVALID_VALUE, str(first["msg"]), field=field)


def first_value(text: bytes) -> tuple[Any, bool]:
    """Decode the first JSON value of ``text``. The flag is True if other text follows it. Raises Refused."""
    value, has_rest, _ = _decoded(text)
    return value, has_rest


class _Decoded(NamedTuple):
    value: Any
    has_rest: bool
    is_repaired: bool


def _decoded(text: bytes) -> _Decoded:
    try:
        value = orjson.loads(text)
        return _Decoded(_storable(value) if b"u0000" in text else value, has_rest=False, is_repaired=False)
    except RecursionError as e:
        raise Refused(reasons.INVALID_JSON, "nested too deeply") from e
    except orjson.JSONDecodeError:
        pass  # not JSON, or JSON that only the lenient parser accepts: text after the value, lone surrogates, invalid UTF-8
    lenient = text.decode("utf-8", "replace")
    start = len(lenient) - len(lenient.lstrip(" \t\r\n"))
    try:
        value, end = _LENIENT.raw_decode(lenient, start)
        return _Decoded(_storable(value), bool(lenient[end:].strip(" \t\r\n")), lenient[start:end].encode() not in text)
    except RecursionError as e:
        raise Refused(reasons.INVALID_JSON, "nested too deeply") from e
    except ValueError as e:
        raise Refused(reasons.INVALID_JSON, str(e)) from e


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


_LENIENT = json.JSONDecoder(parse_constant=_refuse_constant)


def storable_text(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot represent, and NUL, which PostgreSQL cannot store, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {storable_text(key): _storable(item) for key, item in value.items()}
    return value


class _Field:
    """How to normalise the value of one field."""

    __slots__ = ("alias", "container", "informs", "model", "null_item", "nullable")

    def __init__(self, alias: str, annotation: Any, informs: Informs | None) -> None:
        self.alias = alias
        self.informs = informs
        self.nullable = False
        self.container: type | None = None  # list or dict, whose items are normalised
        self.model: type[WireModel] | None = None  # the objects inside, or the value itself
        self.null_item: Any = None  # replaces a null inside the container; None: null is refused there
        options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
        for option in options:
            container = get_origin(option)
            item = get_args(option)[-1] if container in (list, dict) else option
            if option is type(None):
                self.nullable = True
            elif isinstance(item, type) and issubclass(item, WireModel):
                self.container, self.model = (container if container in (list, dict) else None), item
                self.null_item = None if any(info.is_required() for info in item.model_fields.values()) else {}
            elif container is dict and item in (str, float):
                self.container, self.null_item = dict, item()


@cache
def _fields(model: type[WireModel]) -> dict[str, _Field]:
    fields = {}
    for name, info in model.model_fields.items():
        alias = info.alias or name
        informs = next((mark for mark in info.metadata if isinstance(mark, Informs)), None)
        fields[alias] = _Field(alias, info.annotation, informs)
    return fields


@cache
def _folded(model: type[WireModel]) -> dict[str, _Field]:
    return {alias.casefold(): field for alias, field in _fields(model).items()}


def _normalise(model: type[WireModel], value: dict[str, Any], where: str) -> dict[str, Any]:
    """The object with its keys in their declared spelling, and without nulls where a default applies."""
    exact = _fields(model)
    result: dict[str, Any] = {}
    for key, item in value.items():
        field = exact.get(key) or _folded(model).get(key.casefold())
        if field is None:
            raise Refused(reasons.UNKNOWN_FIELD, "is not a known field", field=f"{where}{key}"[:MAX_FIELD])
        if item is None:
            if not field.nullable:
                continue
        elif field.model is not None or field.container is not None:
            item = _normalise_inner(field, item, f"{where}{field.alias}")
        result[field.alias] = item
    return result


def _normalise_inner(field: _Field, item: Any, where: str) -> Any:
    model = field.model
    if field.container is None and isinstance(item, dict):
        return _normalise(cast("type[WireModel]", model), item, f"{where}.")
    if field.container is dict and isinstance(item, dict):
        if None in item.values():
            item = {key: field.null_item if inner is None else inner for key, inner in item.items()}
        if model is None:
            return item
        return {key: _normalise(model, inner, f"{where}.{key}.") if isinstance(inner, dict) else inner for key, inner in item.items()}
    if field.container is list and isinstance(item, list) and model is not None:
        return [
            _normalise(model, inner, f"{where}.{index}.") if isinstance(inner, dict) else field.null_item if inner is None else inner
            for index, inner in enumerate(item)
        ]
    return item


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)[:MAX_FIELD]


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}.get(type(value), "a number")
