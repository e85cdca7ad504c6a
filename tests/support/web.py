"""One request to a server that is starting."""

import urllib.error
import urllib.request


def answers(url: str, statuses: set[int]) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status in statuses
    except urllib.error.HTTPError as e:
        return e.code in statuses
    except OSError:
        return False
