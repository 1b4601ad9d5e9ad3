"""Maps of the full box of every term of a hyper-molecule."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..analysis.fourier_resample import resample_box
from ..inference.model import Model
from ..inference.updates.on_devices import add_on_devices, empty_sums
from ..inference.updates.principal_volumes import shell_power
from ..volumes.kernel import quadratic
from ..volumes.prolate.voxels import voxels_of
from .image_pass import image_pass
from .prolate_course import expanded
from .prolate_setting import ProlateSetting


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
    kind = setting.block_equations(size, count)
    sums = empty_sums(mesh, lambda: kind.zeros(count, size, grid.pixel_size, quadratic()))
    volume = expanded(setting.update, jnp.asarray(coefficients)).prepare(setting.latent_grid)
    model = Model(volume, setting.noise, setting.prior, setting.posterior)
    plan = setting.plan(np.arange(len(setting.data.particles)), loader)
    for batch in image_pass(loader, plan, "full box"):
        sums = jax.block_until_ready(_added((model, batch, grid, mesh), sums))
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
    """Prior spectra in all shells of the full box: those of the terms, whose mask leaves a share of
    the directions of the box, below the crop's last shell."""
    share = np.mean(setting.mask(setting.data.size) ** 2)
    terms = shell_power(jnp.asarray(own, jnp.float32), setting.latent_grid.pixel_size)
    return setting.power_beyond(np.asarray(terms) / share, setting.box // 2 - 1)
