"""Entries of archive versions 1 and 2, converted to version 3. Pure.

Version 1 is that of cc-backend 1.0 to 1.3, version 2 that of 1.4. The data files and definitions of clusters are the same in all three.
"""

from collections.abc import Mapping
from typing import Any

from shared.archive.layout import VERSION, ArchiveError

CONVERTIBLE = frozenset({1, 2, VERSION})
_SHARED = {0: "multi_user", 1: "none", 2: "single_user"}  # values of the old key exclusive
# Averages that version 3 has in footprint and statistics.
_DERIVED = frozenset("mem_used_max flops_any_avg mem_bw_avg load_avg net_bw_avg net_data_vol_total file_bw_avg file_data_vol_total".split())
_STOPPED = "stopped"  # a state until version 2: ended by a person or the scheduler before it was complete
_RECEIVED_STATE = "receivedState"


def upgraded_meta(document: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The meta.json of an entry of ``version`` in the form of version 3. Other keys stay unchanged.

    Raises ArchiveError, which names the field.
    """
    if version == VERSION:
        return dict(document)
    found = {key: value for key, value in document.items() if key not in _DERIVED}
    exclusive = found.pop("exclusive", None)
    if not found.get("shared"):
        found["shared"] = "none" if exclusive is None else _shared(exclusive)
    found.setdefault("energy", 0)
    if not found.get("submitTime") and "startTime" in found:
        found["submitTime"] = found["startTime"]
    if found.get("jobState") == _STOPPED:
        metadata = found.get("metaData")
        found["jobState"] = "cancelled"
        found["metaData"] = {**(metadata if isinstance(metadata, dict) else {}), _RECEIVED_STATE: _STOPPED}
    return found


def _shared(exclusive: Any) -> str:
    if isinstance(exclusive, bool) or exclusive not in _SHARED:
        raise ArchiveError(f"exclusive: {exclusive!r} is not 0, 1 or 2")
    return _SHARED[exclusive]
