"""Settings of `jobtide up`."""

import os
from typing import ClassVar, Literal

from pydantic import Field

from shared.settings import SettingsGroup, group_config

OWN_PROCESS_FROM_CPUS = 4


class UpSettings(SettingsGroup):
    """The embedded site."""

    section: ClassVar[str] = "up"
    model_config = group_config("up")

    open_to: Literal["nobody", "adapters", "all"] = Field(
        "nobody",
        description="Access to the embedded broker without a password: with `adapters`, anyone who can reach it may publish to the intake"
        " subjects; with `all`, also read and write the event log. Logged as a warning at each start.",
    )
    metricstore_process: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether the metric store runs in a process of its own, so that samples do not slow down job events."
        f" `auto`: on machines with {OWN_PROCESS_FROM_CPUS} or more processors.",
    )
    demo_days: float = Field(
        5.0, ge=0, le=30, description="Days of history that `--demo` makes when the site is new, before the services start; 0: none."
    )

    @property
    def has_metricstore_process(self) -> bool:
        if self.metricstore_process == "auto":
            return (os.cpu_count() or 1) >= OWN_PROCESS_FROM_CPUS
        return self.metricstore_process == "always"
