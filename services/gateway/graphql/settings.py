"""Settings of the GraphQL API."""

from typing import ClassVar

from pydantic import Field

from shared.settings import SettingsGroup, group_config


class GraphqlSettings(SettingsGroup):
    """The GraphQL interface, `/query`."""

    section: ClassVar[str] = "graphql"
    model_config = group_config("graphql")

    get: bool = Field(True, description="Accept queries over GET. Mutations always need POST.")
    introspection: bool = Field(True, description="Allow signed-in users to read the schema through `__schema` and `__type`.")
    playground: bool = Field(True, description="Serve GraphiQL at `/playground`.")
    max_body_bytes: int = Field(
        1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="Maximum size of a request body, bytes; larger ones are answered 413."
    )
    max_tokens: int = Field(20_000, ge=100, le=1_000_000, description="Maximum number of tokens in a document.")
    max_cost: int = Field(5000, ge=1, le=1_000_000, description="Maximum number of fields that an operation selects.")
    max_root_fields: int = Field(
        200, ge=1, le=1_000_000, description="Maximum number of root fields of an operation; each may query the database."
    )
    max_depth: int = Field(20, ge=1, le=200, description="Maximum nesting depth of an operation's selections.")
    cached_documents: int = Field(500, ge=1, le=100_000, description="Number of parsed and validated documents in the cache.")
    max_items: int = Field(100_000, ge=1, le=10_000_000, description="Maximum number of jobs in one answer; larger results need pages.")
    short_job_s: int = Field(300, ge=0, le=86_400, description="Jobs with a shorter duration count as short in statistics, seconds.")
    parallel_fields: int = Field(4, ge=1, le=64, description="Root fields that one query resolves concurrently.")
