"""The AsyncAPI 3.0 description of all messages on the broker, generated from the event models."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.broker.envelope import ACTOR, MESSAGE_ID, REPLAYS, REPLY_TO, belongs_to_cluster
from shared.broker.outcome import Outcome
from shared.domain.events import EVENT_TYPES, Event
from shared.domain.payloads import NodeStatePayload, StartPayload, StopPayload
from shared.settings import NatsSettings

VERSION = "1.0.0"  # version of the interface; events have their own versions

_SCHEMAS = "#/components/schemas/"
_PARAMETERS = {
    "prefix": {"description": "The setting `nats.prefix`.", "default": "jobtide"},
    "cluster": {"description": "The cluster's name; anything but letters, digits, `-` and `_` is written as `=XX`, nothing as `_`."},
}
_INTAKE = {
    "job": ("job_subjects", "Starts and stops of jobs.", (StartPayload, StopPayload)),
    "nodestate": ("node_subjects", "States of the nodes of one cluster.", (NodeStatePayload,)),
}


def document() -> dict[str, Any]:
    """Ready for JSON; equal models give an equal document."""
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for measurement, (setting, summary, payloads) in _INTAKE.items():
        _add(channels, operations, f"intake.{measurement}", NatsSettings.model_fields[setting].default[0], "receive", {})
        messages[f"intake.{measurement}"] = _intake_message(measurement, summary, payloads)
    for name, event in EVENT_TYPES.items():
        has_cluster = belongs_to_cluster(name)
        address = f"{{prefix}}.{name}" + (".{cluster}" if has_cluster else "")
        _add(channels, operations, name, address, "send", _PARAMETERS if has_cluster else {"prefix": _PARAMETERS["prefix"]})
        messages[name] = _event_message(event)
    channels["outcome"] = {
        "address": None,
        "description": f"The inbox that an event names in its header `{REPLY_TO}`.",
        "messages": {"outcome": {"$ref": "#/components/messages/outcome"}},
    }
    operations["outcome"] = {
        "action": "send",
        "channel": {"$ref": "#/channels/outcome"},
        "summary": "jobstore answers with the outcome of an event.",
    }
    messages["outcome"] = {"contentType": "application/json", "payload": {"$ref": _SCHEMAS + Outcome.__name__}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "jobtide",
            "version": VERSION,
            "description": "What adapters publish, and the domain events that come of it. docs/events.md explains both.",
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "127.0.0.1:4222", "protocol": "nats", "description": "NATS with JetStream."}},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": _schemas(),
            "messageTraits": {"event": {"headers": {"$ref": _SCHEMAS + "Headers"}}},
        },
    }


def _add(
    channels: dict[str, Any], operations: dict[str, Any], name: str, address: str, action: str, parameters: dict[str, dict[str, str]]
) -> None:
    channel: dict[str, Any] = {"address": address, "messages": {name: {"$ref": f"#/components/messages/{name}"}}}
    if parameters:
        channel["parameters"] = parameters
    channels[name] = channel
    operations[name] = {"action": action, "channel": {"$ref": f"#/channels/{name}"}}


def _intake_message(measurement: str, summary: str, payloads: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    return {
        "contentType": "text/plain",
        "summary": summary,
        "description": f"InfluxDB line protocol with the measurement `{measurement}`. The field `event` is a string that holds JSON: "
        + " or ".join(f"`{payload.__name__}`" for payload in payloads)
        + ".",
        "payload": {"type": "string"},
        "x-event-field": {"oneOf": [{"$ref": _SCHEMAS + payload.__name__} for payload in payloads]},
    }


def _event_message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": f"jobtide.{event.name}.v{event.version}",
        "title": event.__name__,
        "summary": " ".join((event.__doc__ or "").split()),
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "payload": {"$ref": _SCHEMAS + event.__name__},
    }


def _schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [*EVENT_TYPES.values(), StartPayload, StopPayload, NodeStatePayload, Outcome]
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_SCHEMAS + "{model}")
    return {**definitions["$defs"], "Headers": _headers()}


def _headers() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "CloudEvents 1.0, binary binding.",
        "required": [MESSAGE_ID, "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time", "content-type"],
        "properties": {
            MESSAGE_ID: text | {"description": "The same as `ce-id`; the broker drops a second message with it."},
            "ce-specversion": {"const": "1.0"},
            "ce-id": text | {"description": "From the intake: stream and creation time, sequence and stored time, line, part."},
            "ce-type": text | {"description": "`jobtide.<event>.v<version>`."},
            "ce-source": text | {"description": "`/intake/<subject>`, or the publisher's own path."},
            "ce-time": text | {"format": "date-time", "description": "Of the intake: when the broker received the message."},
            "content-type": {"const": "application/json"},
            ACTOR: text | {"description": "The user who caused the event."},
            REPLAYS: text | {"description": "The id of the same event, when its intake message was handled before."},
            REPLY_TO: text | {"description": "The inbox to which jobstore sends the outcome of the event."},
        },
    }
