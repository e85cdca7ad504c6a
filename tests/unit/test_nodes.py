"""The words of a scheduler become one state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.nodes import choose_state, clean_words


@pytest.mark.parametrize(
    ("words", "kept", "state"),
    [
        (["IDLE", "DRAIN"], ["idle", "drain"], "idle"),
        (["MIXED", "PLANNED"], ["mixed", "planned"], "mixed"),
        (["DOWN", "NOT_RESPONDING"], ["down", "not_responding"], "down"),
        (["IDLE", "RESERVED", "MAINTENANCE"], ["idle", "reserved", "maintenance"], "reserved"),
        (["ALLOCATED", "DOWN"], ["allocated", "down"], "allocated"),
        (["MIXED", "IDLE"], ["mixed", "idle"], "idle"),
        (["idle", "down"], ["idle", "down"], "down"),
        (["mixed", "down"], ["mixed", "down"], "down"),
        (["COMPLETING"], ["completing"], "unknown"),
        (["DRAIN"], ["drain"], "unknown"),
        ([], [], "unknown"),
        (None, [], "unknown"),
        (["idle*"], ["idle"], "idle"),
        (["down*", "DRAIN$"], ["down", "drain"], "down"),
        (["MIXED+"], ["mixed"], "mixed"),
        ([" idle "], ["idle"], "idle"),
        (["alloc", "mix", "comp", "maint", "resv"], ["allocated", "mixed", "reserved", "completing", "maintenance"], "allocated"),
        (["idle", "IDLE", "idle~"], ["idle"], "idle"),
        (["on fire", "", "*", "power down"], [], "unknown"),
        (["IDLE+DRAIN"], ["idle", "drain"], "idle"),
        (["DOWN*+DRAIN"], ["down", "drain"], "down"),
        (["DRAIN+IDLE"], ["idle", "drain"], "idle"),
        (["MIXED@+MAINT+RESERVED"], ["mixed", "reserved", "maintenance"], "reserved"),
        (["ALLOCATED*, DRAIN"], ["allocated", "drain"], "allocated"),
        (["idle+cloud+powered_down", "planned"], ["idle", "cloud", "powered_down", "planned"], "idle"),
        (["alloc|drain"], ["allocated", "drain"], "allocated"),
        (["+IDLE++DRAIN+"], ["idle", "drain"], "idle"),
    ],
)
def test_words_are_cleaned_and_one_state_is_chosen(words: list[str] | None, kept: list[str], state: str) -> None:
    assert clean_words(words) == kept
    assert choose_state(kept) == state


@given(st.lists(st.text() | st.sampled_from(["idle", "DOWN*", "Mixed"])))
def test_cleaning_words_is_idempotent(words: list[str]) -> None:
    cleaned = clean_words(words)
    assert clean_words(cleaned) == cleaned
    assert choose_state(cleaned) in ("allocated", "reserved", "down", "idle", "mixed", "unknown")
