"""Maps of the full box of every term of a hyper-molecule."""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ..analysis.fourier_resample import resample_box
from ..inference.model import Model
from ..inference.updates.block_equations import BlockEquations
from ..inference.updates.exact_blocks import ExactBlockEquations, table_shape
from ..inference.updates.on_devices import add_on_devices, empty_sums
from ..inference.updates.principal_volumes import shell_power
from ..volumes.kernel import quadratic
from ..volumes.prolate.voxels import voxels_of
from .prolate_course import expanded
from .prolate_setting import ProlateSetting

_EXACT = 2e9  # bytes of exact equations, of all devices together; above, diagonal ones
_REFERENCE = 4  # shells of the terms' spectra that the unknown ones are extrapolated from


def full_box_terms(setting: ProlateSetting, coefficients) -> Float[np.ndarray, "p n n n"]:
    """Where latents were inferred from the full box, the molecule's own maps; else one more
    M-step, on voxels: latents are told by the frequencies of the crop, and then stand for all."""
    size = setting.data.size
    own = np.asarray(_maps(setting.basis, jnp.asarray(coefficients), setting.latent_grid))
    if setting.box == size:
        return own
    start = np.stack([resample_box(v, size) for v in own]) * setting.mask(size)
    equations = _gathered(setting, coefficients)
    power = _full_power(setting, own)
    return np.asarray(_solved(setting, equations, power, jnp.asarray(start, jnp.float32)))


@eqx.filter_jit
def _maps(basis, coefficients, grid):
    return voxels_of(basis, coefficients, grid)


def _gathered(setting: ProlateSetting, coefficients):
    size, count, mesh = setting.data.size, setting.functions.count, setting.mesh
    grid, loader = setting.grid(size), setting.loader(size)
    pairs = count * (count + 1) // 2
    stored = 4 * np.prod(table_shape(2 * size, pairs, quadratic()), dtype=float) * mesh.size
    kind = ExactBlockEquations if stored <= _EXACT else BlockEquations
    make = lambda: kind.zeros(count, size, grid.pixel_size, quadratic())
    sums = empty_sums(mesh, make)
    volume = expanded(setting.update, jnp.asarray(coefficients)).prepare(setting.latent_grid)
    model = Model(volume, setting.noise, setting.prior, setting.posterior)
    plan = setting.plan(np.arange(len(setting.data.particles)), loader)
    hidden = jax.process_index() != 0
    total = sum(map(len, plan))
    bar = tqdm(total=total, desc="full box", unit=" images", disable=hidden, file=sys.stderr)
    with bar:
        for part, batch in zip(plan, loader.batches(plan), strict=True):
            sums = jax.block_until_ready(_added((model, batch, grid, mesh), sums))
            bar.update(len(part))
    total = jax.tree.map(lambda x: x.sum(axis=0), sums)
    return eqx.tree_at(lambda e: e.spacing, total, grid.pixel_size)


@eqx.filter_jit(donate="all-except-first")
def _added(others, sums):
    model, batch, grid, mesh = others

    def add(equations, posterior, batch, model, grid):
        moments = (posterior.first, posterior.second)
        return equations.add(batch, posterior.mean(), moments, model.noise, grid)

    return add_on_devices(mesh, add, sums, batch, model, grid, jax.random.key(0))[0]


def _solved(setting, equations, power, start):
    mask = jnp.asarray(setting.mask(setting.data.size), jnp.float32)
    solve = eqx.filter_jit(lambda e, p, s, m: e.solve(p, s, m).voxels)
    return solve(equations, jnp.asarray(power, jnp.float32), start, mask)


def _full_power(setting: ProlateSetting, own) -> Float[np.ndarray, "p s"]:
    """Prior spectra: of the terms where they are known; beyond, the mean's spectrum scaled to each
    term's last shells."""
    size, known = setting.data.size, setting.box // 2
    mask = setting.mask(size)
    spectrum = lambda maps, grid: (
        np.asarray(shell_power(jnp.asarray(maps, jnp.float32), grid.pixel_size)) / np.mean(mask**2)
    )
    terms = spectrum(own, setting.latent_grid)
    mean = spectrum(setting.mean(size)[None], setting.grid(size))[0]
    ends = slice(max(known - 1 - _REFERENCE, 1), known - 1)
    ratio = terms[:, ends].mean(axis=1) / max(mean[ends].mean(), 1e-30)
    power = ratio[:, None] * mean
    power[:, : known - 1] = terms[:, : known - 1]
    return power
