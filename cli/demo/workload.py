"""Users, projects and jobs of the simulated site. Run times are shortened: an hour becomes about half a minute."""

import random
from dataclasses import dataclass

SHORTEST_S, LONGEST_S = 4, 420


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job. ``sizes`` counts nodes, or accelerators if ``gpus`` is set; ``typical_s`` is the median run time."""

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
_ENDS = (("completed", 84), ("failed", 6), ("cancelled", 5), ("timeout", 3), ("out_of_memory", 1), ("node_fail", 1))


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the scheduler, and how the job will end."""

    kind: Kind
    user: str
    project: str
    size: int
    number: int
    run_s: int
    end_state: str


def request(cluster: str, seed: str) -> Request:
    """A random request, determined by ``seed``."""
    rng = random.Random(seed)
    (kind,) = rng.choices(KINDS[cluster], WEIGHTS[cluster])
    project = rng.choice(list(PROJECTS))
    (end_state,) = rng.choices([state for state, _ in _ENDS], [weight for _, weight in _ENDS])
    run_s = min(LONGEST_S, kind.walltime_s, max(SHORTEST_S, round(rng.lognormvariate(0.0, 0.6) * kind.typical_s)))
    if end_state == "timeout":
        run_s = kind.walltime_s
    return Request(kind, rng.choice(PROJECTS[project]), project, rng.choice(kind.sizes), rng.randint(10, 99), run_s, end_state)


def script(wanted: Request, nodes: int) -> str:
    """The job script of the request."""
    kind = wanted.kind
    resources = f"#SBATCH --gres=gpu:{wanted.size}\n" if kind.gpus else f"#SBATCH --nodes={nodes}\n"
    modules = "".join(f"module load {module}\n" for module in kind.modules.split())
    return (
        f"#!/bin/bash -l\n#SBATCH --job-name='{job_name(wanted)}'\n#SBATCH --partition={kind.partition}\n{resources}"
        f"#SBATCH --time=00:{kind.walltime_s // 60:02}:00\n#SBATCH --export=NONE\n\nunset SLURM_EXPORT_ENV\n{modules}\n"
        f'cd "$WORK/{wanted.project}"\n{kind.command.replace("{n}", str(wanted.number))} > "log.$SLURM_JOB_ID"\n'
    )


def job_name(wanted: Request) -> str:
    return wanted.kind.name.replace("{n}", str(wanted.number))
