"""Probabilistic principal components of a volume: least squares for mean and components together.

The M-step of EM for `y = c A (μ + Σ_k z_k X_k) + ε`, `z ~ N(0, I)`: with the posterior moments of
each image, one block of normal equations for `(μ, X_1 ... X_K)`, under priors
`E|X_k(s)|² = τ_k²(s)` per shell. Then the gauge: latents get mean 0 and covariance 1, components
become orthogonal, the largest first. The priors follow from the components and from what is left
uncertain of them (empirical Bayes, MacKay 1992): components and shells without signal go to zero.
What is uncertain stays with the volume, for an E-step that reckons with it.

Tagare, Kucukelbir, Sigworth, Wang & Rao 2015, J. Struct. Biol. 191; Tipping & Bishop 1999;
Bishop 1999, Proc. ICANN.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float

from ...volumes.kernel import Kernel, quadratic
from ...volumes.linear import LinearVolume, linear_of, stacked
from ..devices import WHOLE
from ..model import Model
from ..posteriors.linear_gaussian import LinearGaussianPosterior
from ..requirements import linear_volume
from ..update import AbstractUpdate
from . import wiener
from .block_equations import AbstractBlockEquations, BlockEquations
from .on_devices import add_on_devices, empty_sums


class LatentSums(eqx.Module):
    """Over images: their number, `Σ E z`, `Σ E zzᵀ`, and of log-likelihoods."""

    images: Float[Array, "*p"]
    first: Float[Array, "*p d"]
    second: Float[Array, "*p d d"]
    log_likelihood: Float[Array, "*p"]


class PrincipalVolumesState(eqx.Module):
    """Sums of each device, `[device, ...]`, and the priors `τ²` `[q, s]` of mean and components."""

    equations: AbstractBlockEquations
    sums: LatentSums
    power: Float[Array, "q s"]


class PrincipalVolumes(AbstractUpdate[PrincipalVolumesState]):
    """EM update of a `LinearVolume` of `count` components, on every device of `mesh`.

    - `mask`: `[n, n, n]`, of mean and components.
    - `equations`: how they are solved for. Where exactly, no pass lowers the likelihood, short of
      what the priors take.

    Takes `LinearGaussian` posteriors.
    """

    spacing: Float[Array, ""]  # Å per voxel
    mask: Float[Array, "n n n"]
    size: int = eqx.field(static=True)
    count: int = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)
    equations: type[AbstractBlockEquations] = eqx.field(static=True, default=BlockEquations)
    kernel: Kernel = eqx.field(static=True, default=quadratic())

    def init(self, model: Model) -> PrincipalVolumesState:
        """Empty sums; priors from the model's own mean and components."""
        volume = linear_volume(model.volume, "PrincipalVolumes")
        assert isinstance(volume, LinearVolume)
        return self.under(shell_power(stacked(volume), self.spacing))

    def under(self, power: Float[Array, "q s"]) -> PrincipalVolumesState:
        """Empty sums; `power`: the priors `τ²` of mean and components."""
        kind = self.spacing.dtype

        def empty():
            equations = self.equations.zeros(self.count + 1, self.size, self.spacing, self.kernel)
            z = jnp.zeros
            sums = LatentSums(
                z((), kind), z(self.count, kind), z((self.count, self.count), kind), z((), kind)
            )
            return equations, sums

        # Placed as `step` returns it: another placement would compile `step` a second time.
        placed = jax.device_put(power.astype(kind), NamedSharding(self.mesh, WHOLE))
        equations, sums = empty_sums(self.mesh, empty)
        return PrincipalVolumesState(equations, sums, placed)

    def step(self, model, state, batch, grid, key):
        """Adds a batch to the sums."""

        def add(held, posterior, batch, model, grid):
            equations, sums = held
            moments = (posterior.first, posterior.second)
            equations = equations.add(batch, posterior.mean(), moments, model.noise, grid)
            return equations, _with(sums, posterior, batch.weight)

        held = (state.equations, state.sums)
        (equations, sums), posterior = add_on_devices(self.mesh, add, held, batch, model, grid, key)
        state = PrincipalVolumesState(equations, sums, state.power)
        metrics = {
            "images": jnp.sum(batch.weight),
            "log_likelihood": jnp.sum(batch.weight * posterior.log_likelihood),
        }
        return model, state, posterior, metrics

    def sweep(self, model, state):
        """The model with new mean and components, and empty sums with new priors."""
        total = jax.tree.map(lambda x: x.sum(axis=0), (state.equations, state.sums))
        equations = eqx.tree_at(lambda e: e.spacing, total[0], self.spacing)
        volume = linear_volume(model.volume, "PrincipalVolumes")
        assert isinstance(volume, LinearVolume)
        solved = equations.solve(state.power, stacked(volume), self.mask)
        gauge = _gauge(total[1], solved.voxels)
        volumes = jnp.tensordot(gauge.T, solved.voxels, axes=1)
        # The mask leaves a share of the directions of the box: as much less power is in a shell.
        inside = jnp.mean(self.mask**2)
        left = jnp.einsum("ba,sbc,cd->sad", gauge, solved.covariance, gauge)
        own = jnp.diagonal(left, axis1=1, axis2=2).T
        power = shell_power(volumes, self.spacing) / inside + own
        found = linear_of(volumes, self.spacing, self.kernel, inside * left)
        model = eqx.tree_at(lambda m: m.volume, model, found)
        empty, sums = jax.tree.map(jnp.zeros_like, (state.equations, state.sums))
        empty = eqx.tree_at(lambda e: e.spacing, empty, state.equations.spacing)
        return model, PrincipalVolumesState(empty, sums, power)


def shell_power(volumes: Float[Array, "q n n n"], spacing: Float[Array, ""]) -> Float[Array, "q s"]:
    """Mean of `|V(k)|²` over each shell 0 to n//2, in (density·Å³)²."""
    n = volumes.shape[-1]
    shells, inside = wiener.shells_inside(n, n)

    def one(voxels):
        transform = jnp.fft.rfftn(voxels)
        power = transform.real**2 + transform.imag**2
        return wiener.shell_mean(power, shells, inside, n)

    return jax.lax.map(one, volumes) * spacing**6


def _with(sums, posterior, weight):
    z, covariance = posterior.mean().conformation, posterior.covariance
    total = lambda x: jnp.tensordot(weight, x, axes=1)
    return LatentSums(
        sums.images + weight.sum(),
        sums.first + total(z),
        sums.second + total(covariance + z[:, :, None] * z[:, None, :]),
        sums.log_likelihood + total(posterior.log_likelihood),
    )


def _gauge(sums: LatentSums, volumes: Float[Array, "q n n n"]) -> Float[Array, "q q"]:
    """`T` with `(μ, X) T` the same family of volumes in the gauge of latents of mean 0 and
    covariance 1, the components orthogonal and in descending order."""
    images = jnp.maximum(sums.images, 1)
    centre = sums.first / images
    spread = sums.second / images - jnp.outer(centre, centre)
    ridge = 1e-6 * jnp.trace(spread) + 1e-12
    factor = jnp.linalg.cholesky(spread + ridge * jnp.eye(len(centre), dtype=spread.dtype))
    flat = volumes[1:].reshape(len(centre), -1)
    products = factor.T @ jnp.matmul(flat, flat.T, precision="highest") @ factor
    order = jnp.linalg.eigh(products)[1][:, ::-1]
    turn = factor @ order
    top = jnp.concatenate([jnp.ones(1, turn.dtype), jnp.zeros(len(centre), turn.dtype)])
    return jnp.concatenate([top[None], jnp.concatenate([centre[:, None], turn], axis=1)])


def example(voxels, noise, prior, mesh) -> tuple[PrincipalVolumes, Model]:
    """For the laws of updates: two components that are shifted copies of the mean."""
    v = voxels.voxels
    volumes = jnp.stack([v, 0.3 * jnp.roll(v, 2, axis=0), 0.2 * jnp.roll(v, 3, axis=1)])
    volume = linear_of(volumes, voxels.spacing, voxels.kernel)
    update = PrincipalVolumes(voxels.spacing, jnp.ones_like(v), len(v), 2, mesh)
    return update, Model(volume, noise, prior, LinearGaussianPosterior())
