"""`cryojax-het inspect`: what a particle file holds, and what a reconstruction of it will need."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from ..particles.euler import matrix_to_euler
from ..particles.source import AbstractImageSource, Particles
from ..particles.stack import ImageStacks
from ..particles.stack_source import StackSource
from .particle_settings import ParticleSettings

_BAR = 40  # characters of the longest bar
_GROUPS = 20  # rows of the optics table that are shown


@final
@dataclass(frozen=True, kw_only=True)
class InspectConfig(ParticleSettings):
    """What to look at."""

    box: int | None = None
    """Box after Fourier cropping, for the estimate of memory and time."""


def describe(config: InspectConfig) -> str:
    """A report on the particle file of `config`, for a terminal. Errors as `open_particles`."""
    source = config.source()
    table = source.table()
    problems = source.stacks.problems() if isinstance(source, StackSource) else ()
    parts = [
        [str(config.particles), *_counts(table)],
        ["optics groups", *_optics_groups(table)],
        ["defocus, µm", *_defocus(table)],
        ["poses", *_poses(table)],
        ["stacks", *_stacks(source)],
        ["warnings", *(f"  - {warning}" for warning in table.warnings)],
        ["problems", *(f"  - {problem}" for problem in problems)],
        ["reconstruction", *_reconstruction(config, table, bool(problems))],
    ]
    return "\n\n".join("\n".join(part) for part in parts if len(part) > 1)


def _counts(table: Particles) -> Iterator[str]:
    sizes, pixels = np.unique(table.size), np.unique(table.pixel_size)
    box = "/".join(str(size) if size else "unknown" for size in sizes)
    spacing = "/".join(f"{pixel:.4g}" for pixel in pixels)
    yield f"  images       {len(table):,} of {box} pixels, {spacing} Å per pixel"
    lengths = np.unique(np.round(table.size * table.pixel_size, 1))
    yield f"  box          {'/'.join(f'{length:g}' for length in lengths if length)} Å"
    first, second = np.sum(table.half == 1), np.sum(table.half == 2)
    halves = f"{first:,} and {second:,}" if first + second else "none: drawn by seed"
    yield f"  half-sets    {halves}"


def _optics_groups(table: Particles) -> Iterator[str]:
    yield "  group              images  box  Å/pixel   kV   Cs mm     w  phase °  tilt mrad  aniso%"
    for number in np.unique(table.group)[:_GROUPS]:
        part = table.take(np.flatnonzero(table.group == number))
        tilt = np.linalg.norm(part.beam_tilt, axis=1).mean() * 1e3
        anisotropy = 100 * np.abs(part.magnification - np.eye(2)).max()
        phase = np.rad2deg(part.phase_shift.mean())
        yield (
            f"  {table.group_names[number][:16]:16s} {len(part):8,d} {part.size[0]:4d} "
            f"{part.pixel_size[0]:8.4f} {part.voltage[0]:4.0f} {part.spherical_aberration[0]:7.3g} "
            f"{part.amplitude_contrast[0]:5.3g} {phase:8.1f} {tilt:10.3f} {anisotropy:7.2f}"
        )
    rest = len(np.unique(table.group)) - _GROUPS
    if rest > 0:
        yield f"  ... and {rest} more"


def _defocus(table: Particles) -> Iterator[str]:
    if not table.defocus_u.any():
        return
    yield from _histogram((table.defocus_u + table.defocus_v) / 2e4)  # the mean, Å to µm
    astigmatism = np.abs(table.defocus_u - table.defocus_v)
    yield f"  astigmatism  median {np.median(astigmatism):.0f} Å, largest {astigmatism.max():.0f} Å"


def _poses(table: Particles) -> Iterator[str]:
    if table.rotation is None:
        yield "  none: refine the particles first, or give --poses"
        return
    tilt = matrix_to_euler(table.rotation)[:, 1]
    yield "  tilt, ° (uniform directions: as its sine)"
    yield from _histogram(tilt, (0.0, 180.0), 9)
    if table.shift is not None:
        length = np.linalg.norm(table.shift, axis=1)
        yield f"  shift        median {np.median(length):.2f} Å, largest {length.max():.2f} Å"


def _stacks(source: AbstractImageSource) -> Iterator[str]:
    if not isinstance(source, StackSource):
        yield f"  in {type(source).__name__}, held in memory"
        return
    stacks = source.stacks
    kinds: dict[str, int] = {}
    found, size = 0, 0
    for header in _headers(stacks):
        kinds[header.dtype.name] = kinds.get(header.dtype.name, 0) + 1
        found, size = found + 1, size + header.stored_bytes
    kind = ", ".join(sorted(kinds)) or "unknown pixels"
    yield f"  {found:,} of {len(stacks.rows.names):,} files found: {kind}, {size / 1e9:.3g} GB"


def _headers(stacks: ImageStacks):
    import warnings

    with warnings.catch_warnings():
        # `problems` tells of truncated files, in sentences.
        warnings.simplefilter("ignore")
        for file in range(len(stacks.rows.names)):
            try:
                yield stacks.header(file)
            except (OSError, ValueError):
                continue


def _reconstruction(config: InspectConfig, table: Particles, problems: bool) -> Iterator[str]:
    stored = int(table.size.max())
    if stored == 0 or table.rotation is None:
        yield "  not possible yet: " + ("no stacks" if stored == 0 else "no poses")
        return
    if problems:
        yield "  not possible before the problems above are solved; then:"
    from .estimate import reconstruction_need  # imports JAX, which the help need not wait for

    need = reconstruction_need(len(table), stored, config.box or stored)
    yield f"  memory       about {need.memory / 1e9:.1f} GB on {need.devices} CPU devices"
    yield f"  time         about {_duration(need.seconds)} per pass, and up to a minute to compile"
    yield f"  disk         about {need.disk / 1e6:.0f} MB"
    yield f"  command      {shlex.join(_command(config, stored, table))}"


def _command(config: InspectConfig, stored: int, table: Particles) -> list[str]:
    words = ["cryojax-het", "reconstruct", str(config.particles), "-o", "RUN"]
    options = {"--data-dir": config.read.data_dir, "--poses": config.poses, "--ctf": config.ctf}
    options |= {"--pixel-size": config.read.pixel_size, "--sign": config.read.sign}
    for flag, value in options.items():
        words += [flag, str(value)] if value is not None else []
    if config.passthrough:
        words += ["--passthrough", *map(str, config.passthrough)]
    if config.box is not None:
        words += ["--box", str(config.box)]
    elif stored > 256:
        words += ["--box", "256"]
    return words


def _histogram(
    values: Float[np.ndarray, " n"], bounds: tuple[float, float] | None = None, bins: int = 8
) -> Iterator[str]:
    bounds = bounds or (float(values.min()), float(values.max()))
    if bounds[1] - bounds[0] < 0.08:
        # Finer than the digits shown: one line says it all.
        bins = 1
    counts, edges = np.histogram(values, bins, bounds)
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        bar = "█" * round(_BAR * count / max(counts.max(), 1))
        yield f"  {low:7.2f} – {high:7.2f}  {count:9,d}  {bar}".rstrip()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
