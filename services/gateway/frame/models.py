"""The base of all answer models, and the answer to a failed request."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)


class Failure(Answer):
    """``status`` is the phrase of the HTTP status."""

    status: str
    error: str
