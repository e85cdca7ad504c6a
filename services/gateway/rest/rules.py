"""The rules of advice that the archiver uses, with the number of jobs that each holds for."""

from typing import Any

import msgspec
from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.models import Answer
from services.gateway.frame.routes import Routes
from shared.broker.rules import RecordedRules, Value

routes = Routes[Call]("rules", guard=Guard.STAFF)


class RuleOverrideObject(Answer):
    cluster: str
    subcluster: str | None = Field(description="Null: all of the cluster.")
    values: dict[str, Value]


class RuleObject(Answer):
    tag: str = Field(description="The name of its tag, of the type `jobClass`.")
    title: str
    severity: str
    file: str
    is_shipped: bool
    replaces_shipped: bool = Field(description="A rule of the site in place of the shipped one with this tag.")
    while_running: bool = Field(description="Evaluated for running jobs too.")
    metrics: list[str] = Field(description="Those that a job must have.")
    parameters: dict[str, Value]
    overrides: list[RuleOverrideObject]
    link: str


class RulesObject(Answer):
    at: int = Field(description="When the archiver recorded them, Unix seconds.")
    is_enabled: bool = Field(description="`archiver.advice`.")
    folder: str | None = Field(description="The folder of the site's own rules.")
    rules: list[RuleObject]
    refused: list[str] = Field(description="Files that cannot be used, with the reason.")
    ignored: list[str] = Field(description="Files that are no rule files.")
    applications: list[str] = Field(description="Those that are looked for in job scripts.")


@routes("GET", "/frontend/rules/", answers={200: RulesObject | None}, failures=(503,))
async def rules_in_use(call: Call) -> web.StreamResponse:
    """The rules of advice in use; null before an archiver has recorded them."""
    link = call.gateway.link
    found = await RecordedRules(link.client, link.nats).read()
    object_: Any = None if found is None else msgspec.to_builtins(found)
    return answer(object_)
