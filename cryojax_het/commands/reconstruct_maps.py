"""From the sums of two half-sets to half-maps, FSC, mask and the filtered map, and to files."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..analysis.fsc import MaskedFSC, masked_fsc, resolution
from ..analysis.mask import automatic_mask, spherical_mask
from ..inference.updates.wiener import noise_to_signal
from ..particles.export import Estimates, export_particles
from ..particles.mrc import MrcVolume, read_volume

if TYPE_CHECKING:
    from .reconstruct_checkpoint import Setting

LOG = logging.getLogger("cryojax_het")


@final
@dataclass(frozen=True)
class Compared:
    """Two half-maps without prior, and what their comparison says.

    `equations`: what each came from. `ratio`: `1/(τ²⟨L⟩)` of all images, per shell.
    """

    equations: list
    halves: list[Float[np.ndarray, "n n n"]]
    mask: Float[np.ndarray, "n n n"]
    fsc: MaskedFSC
    ratio: Float[Array, " s"]
    resolution: float
    unmasked_resolution: float


def compare_halves(setting: "Setting", states: list) -> Compared:
    """Half-maps, mask, their FSC under it, and the prior that the FSC implies.

    Empties `states`: at large boxes two copies of the tables would be most of the memory.
    """
    total = eqx.filter_jit(lambda state: state.total(), donate="all")
    equations = [total(states.pop(0)) for _ in range(2)]
    solved = eqx.filter_jit(setting.update.method.without_prior)
    raw = [np.asarray(solved(half)) for half in equations]
    mask = _mask(setting, (raw[0] + raw[1]) / 2)
    fsc = masked_fsc(raw[0], raw[1], mask, setting.config.seed)
    length = float(setting.grid.length)
    return Compared(
        equations,
        raw,
        mask,
        fsc,
        noise_to_signal(jnp.asarray(_monotone_start(fsc.corrected), jnp.float32)),
        resolution(fsc.corrected, 0.143, length),
        resolution(fsc.unmasked, 0.143, length),
    )


def filtered_halves(setting: "Setting", compared: Compared) -> list[Float[np.ndarray, "n n n"]]:
    """Each half's own Wiener-filtered, masked map: the volumes of the next pass."""
    solved = eqx.filter_jit(setting.update.method.solve)
    maps = [np.asarray(solved(half, 2 * compared.ratio)) for half in compared.equations]
    return [(volume * compared.mask).astype(np.float32) for volume in maps]


def final_map(setting: "Setting", compared: Compared) -> Float[np.ndarray, "n n n"]:
    """The Wiener-filtered map of all images, not masked. Empties `compared.equations`."""
    solved = eqx.filter_jit(setting.update.method.solve)
    equations = _sum(compared.equations.pop(), compared.equations.pop())
    return np.asarray(solved(equations, compared.ratio))


@eqx.filter_jit(donate="all")
def _sum(first, second):
    return first.plus(second)


def _monotone_start(fsc):
    """The curve with nothing let through beyond its first fall to zero: what rises again there is
    chance, and would let noise into the map. Shell 0, a mean that images hardly tell, is no end."""
    fallen = np.flatnonzero(fsc[1:] <= 0)
    end = fallen[0] + 1 if len(fallen) else len(fsc)
    return np.where(np.arange(len(fsc)) < end, fsc, 0.0)


def _mask(setting, volume):
    config, grid = setting.config, setting.grid
    pixel_size, size = float(grid.pixel_size), setting.data.size
    if config.mask is not None:
        return read_volume(config.mask).data
    diameter = config.diameter or 0.9 * setting.data.stored * setting.data.pixel_size
    sphere = spherical_mask(size, diameter / 2 / pixel_size, 3.0)
    try:
        return (automatic_mask(volume, pixel_size) * sphere).astype(np.float32)
    except ValueError as error:
        LOG.warning("No mask could be made from the map (%s): a sphere is used.", error)
        return sphere.astype(np.float32)


def write_maps(setting: "Setting", folder, maps, solved: Compared, mean) -> None:
    """The run folder's volumes, curves, latents, plots and, where poses changed, particles."""
    a = float(setting.grid.pixel_size)
    voxel = (a, a, a)
    named = {"half1": solved.halves[0], "half2": solved.halves[1]}
    named |= {"mean": mean, "mask": solved.mask}
    for name, data in named.items():
        folder.write_volume(name, MrcVolume(np.asarray(data, np.float32), voxel))
    _write_curves(setting, folder, solved, mean)
    table = folder.latents()
    for name in ("rotation", "shift", "contrast"):
        array = getattr(maps.latents, name)
        table.create(name, array.shape)
        table.write(name, np.arange(len(array)), array)
    if setting.config.refine:
        _export(setting, folder, maps)


def _write_curves(setting, folder, solved, mean):
    fsc, length = solved.fsc, float(setting.grid.length)
    names = ("unmasked", "masked", "randomised", "corrected")
    curves = {name: getattr(fsc, name) for name in names}
    shells = np.arange(len(fsc.corrected))
    rows = np.stack([shells, shells / length, *curves.values()], axis=1)
    header = "shell,frequency_1/A," + ",".join(names)
    path = folder.folder("analysis") / "fsc.csv"
    np.savetxt(path, rows, delimiter=",", header=header, comments="", fmt="%.6g")
    try:
        _plot(setting, folder.folder("plots"), {"mean": mean, "half 1": solved.halves[0]}, curves)
    except ImportError as error:  # the maps are there; pictures are an extra
        LOG.warning("%s", error)


def _plot(setting, plots: Path, shown, curves):
    from ..report.plots import plot_angular_distribution, plot_defocus, plot_fsc, plot_slices

    particles = setting.data.particles
    plot_fsc(plots / "fsc.png", curves, float(setting.grid.length))
    plot_slices(plots / "slices.png", shown, float(setting.grid.pixel_size))
    plot_angular_distribution(plots / "views.png", particles.rotation)
    plot_defocus(plots / "defocus.png", particles.defocus_u, particles.defocus_v)


def _export(setting, folder, maps):
    original = setting.config.particles
    if original.suffix.lower() not in (".star", ".cs"):
        LOG.info("%s has no table to write poses back to; see latents/.", original)
        return
    particles, data = setting.data.particles, setting.data
    rows = np.arange(len(particles))
    shift = maps.latents.shift.astype(float)
    native = data.native_shift(rows, shift)
    estimates = Estimates(
        rotation=maps.latents.rotation.astype(float),
        shift=native,
        pixel_size=data.native_pixel_size(),
        half=particles.half,
    )
    name = "particles" + original.suffix.lower()
    export_particles(folder.path / name, original, rows, estimates)
