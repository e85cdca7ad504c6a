"""Settings of `jobtide up`."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.settings import SettingsGroup, group_config


class UpSettings(SettingsGroup):
    """The embedded site."""

    section: ClassVar[str] = "up"
    model_config = group_config("up")

    open_to: Literal["nobody", "adapters", "all"] = Field(
        "nobody",
        description="Who may use the embedded broker without a password: `adapters` lets everybody who reaches it publish to the intake"
        " subjects, `all` also read and write the event log. Logged as a warning at each start.",
    )
