"""Settings of the GraphQL interface."""

from typing import ClassVar

from pydantic import Field

from shared.settings import SettingsGroup, group_config


class GraphqlSettings(SettingsGroup):
    """The GraphQL interface, `/query`."""

    section: ClassVar[str] = "graphql"
    model_config = group_config("graphql")

    get: bool = Field(True, description="Queries may be sent with GET too; never mutations.")
    introspection: bool = Field(True, description="Signed-in users may read the schema by `__schema` and `__type`.")
    playground: bool = Field(True, description="Serve GraphiQL at `/playground`.")
    max_body_bytes: int = Field(1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="Largest request body, bytes; above it 413.")
    max_tokens: int = Field(20_000, ge=100, le=1_000_000, description="Most tokens of a document.")
    max_cost: int = Field(5000, ge=1, le=1_000_000, description="Most fields that an operation may select.")
    max_root_fields: int = Field(200, ge=1, le=1_000_000, description="Most root fields of an operation; each may ask the database.")
    max_depth: int = Field(20, ge=1, le=200, description="How deep the selections of an operation may be nested.")
    kept_documents: int = Field(500, ge=1, le=100_000, description="Documents that are kept parsed and validated.")
    max_items: int = Field(100_000, ge=1, le=10_000_000, description="Most jobs in one answer; more must be asked for page by page.")
    short_job_s: int = Field(300, ge=0, le=86_400, description="Jobs that took less count as short in statistics, seconds.")
    parallel_fields: int = Field(4, ge=1, le=64, description="Root fields of one query that are computed at the same time.")
