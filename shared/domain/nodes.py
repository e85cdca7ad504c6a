"""Chooses the state of a node from the state words of its scheduler. Source: event interface 4.2."""

import re
from collections.abc import Iterable
from typing import Literal

NodeStateName = Literal["allocated", "reserved", "idle", "mixed", "down", "unknown"]

# Flags that Slurm appends to a base word, e.g. ``idle*`` (not responding) or ``down$`` (maintenance).
_SUFFIXES = "*~#!%$@^-"
_JOINED = re.compile(r"[+,|]")  # ``IDLE+DRAIN`` as Slurm's scontrol and REST interface write it

_KNOWN_WORDS = frozenset(
    "allocated alloc reserved resv idle mixed mix down unknown drain drained draining fail failing maint maintenance planned"
    " completing comp power_down power_up powered_down powering_down powering_up pow_dn pow_up not_responding no_respond"
    " reboot reboot_issued reboot_requested rebooted blocked future futr inval invalid cloud dynamic_norm dynamic_future"
    " perfctrs npc undrain power_drain external error".split()
)
_SPELLED_OUT = {"alloc": "allocated", "resv": "reserved", "mix": "mixed", "comp": "completing", "maint": "maintenance"}


_BASE_STATES = frozenset(("allocated", "reserved", "down", "idle", "mixed", "unknown"))


def clean_words(states: Iterable[str] | None) -> list[str]:
    """The known words in lower case, without suffixes and duplicates, joined ones split; base states before flags."""
    words = (word.strip().rstrip(_SUFFIXES) for state in states or () for word in _JOINED.split(state.lower()))
    known = dict.fromkeys(_SPELLED_OUT.get(word, word) for word in words if word in _KNOWN_WORDS)
    return sorted(known, key=lambda word: word not in _BASE_STATES)


def choose_state(words: Iterable[str]) -> NodeStateName:
    """The state of a node by the first rule that matches."""
    present = set(words)
    if "allocated" in present:
        return "allocated"
    if "reserved" in present:
        return "reserved"
    if "down" in present:
        return "down"
    if "idle" in present:
        return "idle"
    if "mixed" in present:
        return "mixed"
    return "unknown"
