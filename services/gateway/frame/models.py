"""Base class of answer models, and the model of error answers."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)


class Failure(Answer):
    """An error answer. ``status`` is the reason phrase of the HTTP status."""

    status: str
    error: str
