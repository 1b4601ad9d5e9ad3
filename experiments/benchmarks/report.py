"""Markdown tables of the benchmarks, with the hardware and versions they were taken on."""

import argparse
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

TITLES = {
    "image": "slice + CTF + shift",
    "volume-gradient": "gradient in the volume (prepared Fourier samples)",
    "voxel-gradient": "gradient in the volume (real voxels, preparation once per batch)",
    "pose-gradient": "gradient in the poses (3 rotations + 2 shifts)",
    "linear": "K = 4 linear volumes, forward",
    "linear-gradient": "K = 4 linear volumes, gradient in the latents",
    "gaussians": "2,000 Gaussians, forward",
    "gaussians-gradient": "2,000 Gaussians, gradient in the positions",
}
TARGETS = {
    "image": 4,
    "volume-gradient": 3,
    "pose-gradient": 4,
    "linear": 10,
    "linear-gradient": 20,
    "gaussians": 1,
    "gaussians-gradient": 8,
}
# what the peer does if one follows its documentation and leaves every option alone
DEFAULTS = {
    "linear": "linear-pad1-formed",
    "linear-gradient": "linear-pad1-formed",
    "gaussians": "dense-average",
    "gaussians-gradient": "dense-average",
}
PROGRAMS = {"worker_ours": "cryojax_het", "worker_cryojax": "cryojax"}


@dataclass(frozen=True)
class Row:
    """One configuration on one work; times in ms per image."""

    work: str
    box: int
    worker: str
    configuration: str
    cpu: float
    wall: float
    error: str

    @property
    def ours(self) -> bool:
        return self.worker == "worker_ours"

    def error_value(self) -> float:
        """The (first) error as a fraction, for comparing."""
        return float(self.error.split("/")[0].strip().rstrip("%")) / 100


def hardware() -> str:
    """Processor, cores and system in one line."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    name = names[0] if names else platform.processor()
    return f"{name}, {cores} cores, {platform.system()} {platform.machine()}"


def versions(python: str, packages: tuple[str, ...]) -> str:
    """`package version` of each, as that interpreter reports them."""
    code = (
        "import sys, importlib.metadata as m;"
        "print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]), "
        "'on Python', sys.version.split()[0])"
    )
    return _output([python, "-c", code, *packages])


def commit() -> str:
    """Short hash of the work tree, with `+` where files differ from it."""
    here = Path(__file__).parent
    changed = _output(["git", "-C", str(here), "status", "--porcelain", "-uno"])
    return _output(["git", "-C", str(here), "rev-parse", "--short", "HEAD"]) + "+" * bool(changed)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def table(header: list[str], rows: list[list[str]]) -> str:
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _ratio(rows: list[Row], row: Row) -> str:
    """CPU time in units of our default configuration's on the same work and box."""
    same = [r for r in rows if (r.work, r.box) == (row.work, row.box) and r.ours]
    default = [r for r in same if r.configuration == "default"]
    return f"{row.cpu / default[0].cpu:.2f}" if default else "-"


def detail(rows: list[Row]) -> str:
    """Every configuration, with its CPU time in units of our default's."""
    header = ["work", "box", "program", "CPU ms/image", "wall ms/image", "error", "CPU / ours"]
    body = []
    for row in rows:
        program = f"{PROGRAMS[row.worker]}, {row.configuration}"
        numbers = [f"{row.cpu:.3f}", f"{row.wall:.3f}", row.error]
        body.append([TITLES[row.work], str(row.box), program, *numbers, _ratio(rows, row)])
    return table(header, body)


def summary(rows: list[Row], slack: float = 1.05) -> str:
    """Per work: the peer's default, its fastest configuration, its fastest one as accurate."""
    header = ["work", "box", "ours: CPU ms (error)", "cryojax, default", "cryojax, fastest"]
    header += ["cryojax, fastest at our accuracy", "target"]
    body = []
    for ours in (r for r in rows if r.ours and r.configuration == "default"):
        peers = [r for r in rows if (r.work, r.box) == (ours.work, ours.box) and not r.ours]
        default = DEFAULTS.get(ours.work, "linear-pad1")
        plain = [r for r in peers if r.configuration == default]
        equal = [r for r in peers if r.error_value() <= slack * ours.error_value()]
        cells = [_cell(candidates, ours) for candidates in (plain, peers, equal)]
        target = f"{TARGETS[ours.work]}x" if ours.work in TARGETS else "-"
        mine = f"{ours.cpu:.3f} ({ours.error})"
        body.append([TITLES[ours.work], str(ours.box), mine, *cells, target])
    return table(header, body)


def _cell(candidates: list[Row], ours: Row) -> str:
    if not candidates:
        return "none"
    best = min(candidates, key=lambda r: r.cpu)
    return f"{best.configuration}: {best.cpu:.3f} ({best.error}), **{best.cpu / ours.cpu:.1f}x**"


def forward_page(rows: list[Row], options: argparse.Namespace) -> str:
    """The whole of forward.md."""
    ours = f"cryojax_het at commit {commit()}, {versions(options.python, ('jax', 'equinox'))}"
    peer = versions(options.cryojax_python, ("cryojax", "jax", "equinox"))
    return "\n\n".join(
        [
            "# Forward model and gradients against cryojax",
            "Written by forward.py. Both programs in float32 on the same work, in alternation, "
            f"batches of {options.batch}, medians of {options.rounds} rounds of at least "
            f"{options.seconds} s per turn; compilation and set-up excluded. CPU time counts all "
            f"threads. The molecule: 300 Gaussians of 1.5 pixels inside a ball of radius "
            f"{options.radius} of the box.",
            f"- {hardware()}, load average at the end {os.getloadavg()[0]:.1f}\n"
            f"- ours: {ours}\n- peer: {peer}",
            "## Summary\n\nCells of the peer: configuration: CPU ms per image (error), CPU time "
            "over that of our default. `At our accuracy`: an error of at most 1.05 times ours.",
            summary(rows),
            "## All configurations\n\n"
            "cryojax's default is linear-pad1 (its documentation: what is left after deconvolution "
            "is aliasing, which shrinks with `pad_scale`; its constructor pads by 1.0). `summed` "
            "slices the K + 1 volumes and adds, `formed` makes V(z) per image, which is the way "
            "its documentation extends volumes. Errors: of the slice for slices and volume "
            "gradients; of the result itself for poses (rotation / shift), latents and positions. "
            "`dense-average` integrates over each pixel, another image by definition: its error "
            "is that of the sinc.",
            detail(rows),
            "",
        ]
    )
