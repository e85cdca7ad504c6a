"""Users, projects and tags. Few users have most jobs: a Pareto law of their activity."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.history.clusters import SHARES
from shared.domain.values import ADMIN_SCOPE, GLOBAL_SCOPE

USERS = 5000
PROJECTS = 400
PARETO = 1.2  # the most active user of 5,000 has about 8 per cent of the jobs, half of the users a tenth together
_SEED = 4004
_PROJECT_NUMBERS = 26 * 26 * 8 * 10
_FIRST = "Ada Ben Cleo Dana Emil Finn Greta Hugo Ines Jan Kira Lars Mia Nils Olga Paul Rosa Sven Tara Udo Vera Wim Yara Zeno".split()
_LAST = (
    "Albers Brandt Conrad Dietz Engel Fuchs Graf Hahn Imhof Jung Keller Lang Maurer Noll Ott Petri Roth Sommer Thoma Ulrich Vogt Winter"
).split()

_APPLICATIONS = (
    "gromacs openfoam vasp namd lammps cp2k quantum starccm fluent python julia matlab orca wrf icon nek5000 amber siesta turbo espresso"
).split()
_CLASSES = "low_load high_load memory_bound compute_bound imbalance idle_nodes unused_accelerators short_tasks leak network_bound".split()


@dataclass(frozen=True, slots=True)
class PlannedTag:
    type: str
    name: str
    scope: str


class People:
    """Everything about a user is an array with one element per user, the most active one first."""

    def __init__(self) -> None:
        dice = np.random.default_rng(_SEED)
        rank = (np.arange(USERS) + 0.5) / USERS
        activity = rank ** (-1 / PARETO)
        self.share = activity / activity.sum()
        self.projects = [_project(number) for number in dice.permutation(_PROJECT_NUMBERS)[:PROJECTS].tolist()]
        # The first users lead a project each, the others join: small projects are many.
        joined = (PROJECTS * dice.random(USERS) ** 1.5).astype(int)
        self.project = np.where(np.arange(USERS) < PROJECTS, np.arange(USERS) % PROJECTS, joined)
        self.second_project = (PROJECTS * dice.random(USERS) ** 1.5).astype(int)
        self.names = list(self._user_names())
        # Most of a user's jobs run on one cluster.
        home = dice.choice(len(SHARES), USERS, p=SHARES)
        self.cluster_shares = 0.2 * np.array(SHARES) + 0.8 * np.eye(len(SHARES))[home]
        self.full_names = [
            f"{_FIRST[a]} {_LAST[b]}"
            for a, b in zip(dice.integers(len(_FIRST), size=USERS), dice.integers(len(_LAST), size=USERS), strict=True)
        ]

    def _user_names(self) -> Iterator[str]:
        """The project and a number, as sites with many short-lived accounts have them."""
        members: Counter[int] = Counter()
        for project in self.project.tolist():
            members[project] += 1
            yield f"{self.projects[project]}{9 + members[project]}"

    @cached_property
    def tags(self) -> list[PlannedTag]:
        of_sites = [PlannedTag("app", name, GLOBAL_SCOPE) for name in _APPLICATIONS]
        of_sites += [PlannedTag("jobClass", name, GLOBAL_SCOPE) for name in _CLASSES]
        of_people = [PlannedTag("review", f"round{number}", GLOBAL_SCOPE) for number in range(1, 7)]
        of_people += [PlannedTag("support", name, ADMIN_SCOPE) for name in ("contacted", "waiting", "solved")]
        private = [PlannedTag("mine", f"paper{number}", self.names[number]) for number in range(1, 9)]
        return of_sites + of_people + private


def _project(number: int) -> str:
    """Different for different numbers below ``_PROJECT_NUMBERS``."""
    rest, letters = divmod(number, 26 * 26)
    return f"{'abgikmpz'[rest % 8]}{100 + rest // 8}{chr(97 + letters // 26)}{chr(97 + letters % 26)}"


PEOPLE = People()
