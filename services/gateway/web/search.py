"""Where a search of cc-backend leads: its form, and bookmarks and portals made from it, ask ``/search?searchId=TEXT``."""

from urllib.parse import quote, urlencode

from services.gateway.call import Gateway
from services.gateway.people.identity import User
from services.gateway.reading.model import JobFilter, Order, Slice, TextMatch
from services.gateway.reading.statistics import StatisticsQuery

MAX_PEOPLE = 50  # whose real names contain the text
LAST_MONTH = {"startTime": "last30d"}


async def place_of(gateway: Gateway, user: User, text: str) -> str:
    """The address of what ``text`` names, relative to the base path: a job, a person, a project, else a list.

    ``text`` is one of the terms of cc-backend, such as ``jobName:lbm``, or free. Free text is compared with everything that it may name,
    exact names first, among jobs that the user sees; names of jobs are looked for in those of the last month. Raises Unavailable,
    RequestError (403).
    """
    word, _, rest = (part.strip() for part in text.partition(":"))
    if rest and (place := await _of_term(gateway, user, word, rest)) is not None:
        return place
    text = text.strip()
    if not text:
        return _jobs()
    if text.isascii() and text.isdigit():
        keys = await gateway.jobs.select(user, [JobFilter(job_id=TextMatch.equal(text))], Order(), Slice(2))
        return f"monitoring/job/{keys[0]}" if len(keys) == 1 else _jobs(jobId=text)
    if await _has_jobs(gateway, user, JobFilter(user=TextMatch.equal(text))):
        return _page_of("user", text)
    if await _has_jobs(gateway, user, JobFilter(project=TextMatch.equal(text))):
        return _page_of("project", text)
    if names := await _people(gateway, user, text):
        return _page_of("user", names[0]) if len(names) == 1 else _people_list(names)
    return _jobs(jobName=text, **LAST_MONTH)


async def _of_term(gateway: Gateway, user: User, word: str, text: str) -> str | None:
    """None if this is no term."""
    match word:
        case "jobId":
            return _jobs(jobId=text)
        case "jobName":
            return _jobs(jobName=text, **LAST_MONTH)
        case "projectId":
            return _jobs(project=text)
        case "arrayJobId" if text.isascii() and text.isdigit():
            return _jobs(arrayJobId=text, **LAST_MONTH)
        case "username" if user.sees_all_accounts:
            return f"monitoring/users/?{urlencode({'user': text} | LAST_MONTH)}"
        case "username":
            return _jobs(user=text, **LAST_MONTH)
        case "name" if user.sees_all_accounts:
            return _people_list(await _people(gateway, user, text) or [text])
    return None


async def _has_jobs(gateway: Gateway, user: User, wanted: JobFilter) -> bool:
    return bool(await gateway.jobs.select(user, [wanted], Order(), Slice(1)))


async def _people(gateway: Gateway, user: User, text: str) -> list[str]:
    """The names of users of visible jobs whose real names contain the text; none for those who may not see real names."""
    if not user.sees_all_accounts:
        return []
    names = await gateway.users.names_of(text, MAX_PEOPLE)
    if not names:
        return []
    where = [JobFilter(user=TextMatch("in", tuple(names)))]
    groups = await gateway.jobs.statistics(user, where, StatisticsQuery(group_by="user"), int(gateway.clock()))
    return sorted(group.key for group in groups)


def _jobs(**filters: str) -> str:
    return "monitoring/jobs/" + (f"?{urlencode(filters)}" if filters else "")


def _people_list(names: list[str]) -> str:
    named = [("user", name) for name in names]
    return f"monitoring/users/?{urlencode([*named, ('userMatch', 'eq'), *LAST_MONTH.items()])}"


def _page_of(kind: str, name: str) -> str:
    """The job list for names that a path cannot contain."""
    return _jobs(**{kind: name}) if name in (".", "..") else f"monitoring/{kind}/{quote(name, safe='')}"
