"""The titles of the rules of advice, by which pages name a rule and its tag of the type jobClass."""

import asyncio

from services.gateway.writing.link import BrokerLink
from shared.advice import shipped_titles
from shared.broker.rules import RecordedRules
from shared.errors import Unavailable

WAIT_S = 0.5  # a page does not wait for the broker


async def rule_titles(link: BrokerLink) -> dict[str, str]:
    """Titles by tag. The site's own rules are missing while the broker is unreachable."""
    try:
        async with asyncio.timeout(WAIT_S):
            found = await RecordedRules(link.client, link.nats).read()
    except (Unavailable, TimeoutError):
        found = None
    own = {} if found is None else {rule.tag: rule.title for rule in found.rules}
    return dict(shipped_titles()) | own
