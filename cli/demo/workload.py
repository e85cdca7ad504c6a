"""Users, projects and jobs of the simulated site. Run times are shortened: an hour becomes about half a minute."""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

MIN_RUN_S, MAX_RUN_S = 4, 420


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job. ``sizes`` counts nodes, or accelerators if ``gpus`` is set; ``typical_s`` is the median run time,
    ``walltime_s`` the limit of the partition."""

    partition: str
    subclusters: tuple[str, ...]
    name: str
    command: str
    modules: str
    sizes: tuple[int, ...]
    typical_s: int
    walltime_s: int
    gpus: bool = False
    array: bool = False


KINDS: dict[str, tuple[Kind, ...]] = {
    "fritz": (
        Kind("multinode", ("main",), "channel_re5200", "srun ./nekRS --setup channel.par", "intel/2023.2 intelmpi", (16, 32, 64), 150, 600),
        Kind("multinode", ("main",), "lammps_Cu_{n}", "srun lmp -in in.cu -var run {n}", "lammps/2023", (2, 4, 8), 70, 300),
        Kind("multinode", ("main",), "wrf-forecast", "srun ./wrf.exe", "netcdf intelmpi", (8, 12), 120, 480),
        Kind("singlenode", ("main",), "vasp_relax", "srun vasp_std", "vasp6/6.4.2", (1,), 50, 240),
        Kind("singlenode", ("main",), "sweep-{n}", "./model --beta 0.{n}", "python/3.11", (1,), 25, 120, array=True),
        Kind("singlenode", ("main",), 'postproc "run {n}"', "python collect.py --out C:\\results\\{n}", "python/3.11", (1,), 15, 120),
        Kind("spr1tb", ("spr1tb",), "genome_asm", "srun hifiasm -t 104 reads.fq.gz", "hifiasm", (1, 2), 110, 480),
        Kind("spr2tb", ("spr2tb",), "bigmem-eigen", "srun ./eigensolve -n 2000000", "mkl", (1,), 140, 480),
    ),
    "alex": (
        Kind(
            "a100",
            ("a100", "a100m80"),
            "llm-finetune",
            "srun torchrun train.py --lr 2e-5",
            "cuda/12.3 pytorch",
            (4, 8),
            130,
            480,
            gpus=True,
        ),
        Kind("a100", ("a100", "a100m80"), "gromacs_spike{n}", "gmx mdrun -deffnm md{n} -nb gpu", "gromacs/2024", (1,), 80, 300, gpus=True),
        Kind("a40", ("a40",), "namd_membrane", "namd3 +p16 prod_{n}.conf", "namd/3.0", (1, 2), 60, 300, gpus=True),
        Kind("a40", ("a40",), "jupyter", "jupyter lab --no-browser", "python/3.11", (1,), 100, 240, gpus=True),
        Kind("a40", ("a40",), "detect-{n}", "python infer.py --shard {n}", "cuda/12.3 pytorch", (1,), 20, 120, gpus=True, array=True),
    ),
}
WEIGHTS: dict[str, tuple[int, ...]] = {"fritz": (1, 5, 2, 8, 14, 6, 2, 1), "alex": (2, 8, 6, 3, 12)}

PROJECTS: dict[str, tuple[str, ...]] = {
    "b118bb": ("b118bb10", "b118bb14", "b118bb27"),
    "k104de": ("k104de11", "k104de12", "k104de15", "k104de20"),
    "iwal": ("iwal021h", "iwal055h"),
    "mppi": ("mppi062h", "mppi083h", "mppi104h"),
    "nfd0": ("nfd0013h",),
    "p2chpd": ("p2chpd01", "p2chpd05", "p2chpd09"),
    "v103fe": ("v103fe12", "v103fe16"),
}
_PROJECT_WEIGHTS = (9, 14, 4, 7, 3, 6, 2)
_ENDS = (("completed", 81), ("failed", 8), ("cancelled", 5), ("timeout", 3), ("out_of_memory", 2), ("node_fail", 1))
_ENDS_EARLY = ("failed", "cancelled")
MAX_WAIT_S = 600
WALLTIME_STEP_S = 60


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the scheduler, how long it waits, and how the job will end. Seconds are shortened like those of ``Kind``."""

    kind: Kind
    user: str
    project: str
    size: int
    number: int
    walltime_s: int
    wait_s: float
    run_s: int
    end_state: str


@lru_cache(maxsize=10_000)
def request(cluster: str, seed: str) -> Request:
    """A random request, determined by ``seed``."""
    rng = random.Random(seed)
    (kind,) = rng.choices(KINDS[cluster], WEIGHTS[cluster])
    (project,) = rng.choices(list(PROJECTS), _PROJECT_WEIGHTS)
    users = PROJECTS[project]
    (user,) = rng.choices(users, [1 / (1 + place) for place in range(len(users))])
    (end_state,) = rng.choices([state for state, _ in _ENDS], [weight for _, weight in _ENDS])
    run_s = min(MAX_RUN_S, kind.walltime_s, max(MIN_RUN_S, round(rng.lognormvariate(0.0, 0.6) * kind.typical_s)))
    walltime_s = min(kind.walltime_s, WALLTIME_STEP_S * math.ceil(run_s * rng.uniform(1.1, 5.5) / WALLTIME_STEP_S))
    if end_state == "timeout":
        run_s = walltime_s
    elif end_state in _ENDS_EARLY and rng.random() < 1 / 2:
        run_s = max(MIN_RUN_S, round(run_s * rng.random()))
    size = rng.choice(kind.sizes)
    wait_s = min(MAX_WAIT_S, rng.lognormvariate(0.0, 1.5) * (1 + size / 4))  # large jobs wait longer
    return Request(kind, user, project, size, rng.randint(10, 99), walltime_s, wait_s, run_s, end_state)


def script(wanted: Request, nodes: int, pace: int = 1) -> str:
    """The job script of the request."""
    kind = wanted.kind
    hours, minutes = divmod(wanted.walltime_s * pace // 60, 60)
    resources = f"#SBATCH --gres=gpu:{wanted.size}\n" if kind.gpus else f"#SBATCH --nodes={nodes}\n"
    modules = "".join(f"module load {module}\n" for module in kind.modules.split())
    return (
        f"#!/bin/bash -l\n#SBATCH --job-name='{job_name(wanted)}'\n#SBATCH --partition={kind.partition}\n{resources}"
        f"#SBATCH --time={hours:02}:{minutes:02}:00\n#SBATCH --export=NONE\n\nunset SLURM_EXPORT_ENV\n{modules}\n"
        f'cd "$WORK/{wanted.project}"\n{kind.command.replace("{n}", str(wanted.number))} > "log.$SLURM_JOB_ID"\n'
    )


def job_name(wanted: Request) -> str:
    return wanted.kind.name.replace("{n}", str(wanted.number))
