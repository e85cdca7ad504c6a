"""Hiding the advice of a rule for one job."""

from services.gateway.errors import forbidden, not_found
from services.gateway.graphql.fields.jobs import no_job, visible_id
from services.gateway.graphql.request import MUTATION, Ask, answers
from services.gateway.reading.model import JobSelection
from shared.domain.advice import Entry, advice_of, entries_of


@answers(MUTATION, "muteAdvice")
async def mute_advice(ask: Ask) -> list[Entry]:
    """Returns the advice shown afterwards. Anyone who may see the job may hide its advice, except programs.

    Raises RequestError: 400, 403, 404, 429.
    """
    if ask.user.is_program:
        raise forbidden("programs may not mute advice")
    key = await visible_id(ask, ask["job"], "job")
    cluster, column = await _read(ask, key)
    rule: str = ask["rule"]
    if rule not in {entry["rule"] for entry in entries_of(column)}:
        raise not_found(f"the job has no advice of the rule {rule!r}")
    await ask.gateway.tagging.mute(ask.user, key, cluster, rule, muted=ask["muted"])
    return advice_of((await _read(ask, key))[1])


async def _read(ask: Ask, key: int) -> tuple[str, str | None]:
    found = await ask.gateway.jobs.jobs(ask.user, [key], JobSelection(["cluster", "advice"]))
    if not found.jobs:
        raise no_job(key)  # deleted in the meantime
    return found.jobs[0].cluster, found.jobs[0].advice
