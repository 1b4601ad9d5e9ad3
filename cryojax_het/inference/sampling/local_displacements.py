"""Normal modes and a displacement of every atom, sampled together for each image."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ...imaging.noise import AbstractNoise
from ...volumes.base import AbstractVolume
from ...volumes.displaced import DisplacedMixture
from ...volumes.mixture import AbstractMixture, Change
from ..posterior import AbstractPosterior, Draws
from ..posteriors.draws import AbstractSampler, Chains, Start, each_image
from ..posteriors.hamiltonian import Hamiltonian
from ..posteriors.scaled_objective import ScaledObjective
from ..prior import AbstractPrior
from ..structural.restraint import AbstractRestraint

_PROBES = 8  # random directions that estimate a mean curvature


class DisplacedChains(eqx.Module):
    """Chains of each image, and where its atoms were in them.

    - `positions`: mean over all draws, Å, in the molecule's frame;
    - `displacement`: mean of the part `δ` that the modes do not make;
    - `spread`: standard deviation of each atom's position along one axis, Å, over the three.
    """

    chains: Chains
    positions: Float[Array, "b j 3"]
    displacement: Float[Array, "b j 3"]
    spread: Float[Array, "b j"]


class LocalDisplacements(AbstractPosterior[Draws]):
    """Positions `x = x₀ + Σ_k b_k Δ_k + δ` of each image: amplitudes `b` of modes, and a small
    displacement `δ` of every Gaussian that they leave.

    `U(b, pose, δ) = ½|whitened residual|² - log prior(b, pose) + E(x)/T + |δ|²/(2 s_δ²)`, where
    `½ Σ(b/s)²` is the prior's. Masses are in two blocks: for `b` and the pose the inverse variances
    of its modes at `δ = 0`, for `δ` one number, the mean curvature of `U` along it. Jumps between
    modes move `b` and the pose under the atoms' `δ`. All draws of all atoms are held at once:
    `chains · draws · 3j` numbers per image. (Vuillemot et al. 2022, J. Mol. Biol. 434.)

    - `restraint`: has `energy(positions)`; `temperature`: `T`, in units of that energy;
    - `width`: `s_δ`, Å;
    - `sampler`: `Hamiltonian` or `NoUTurn`, with what is inferred beside `δ`.

    `TypeError` for a volume that is not a `DisplacedMixture`.
    """

    restraint: AbstractRestraint
    temperature: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    width: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    sampler: AbstractSampler = Hamiltonian()

    def infer(self, key, volume, noise, prior, batch, grid):
        return self.run(key, volume, noise, prior, batch, grid).chains.draws()

    def run(
        self,
        key: PRNGKeyArray,
        volume: AbstractVolume,
        noise: AbstractNoise,
        prior: AbstractPrior,
        batch: Batch,
        grid: FourierGrid,
    ) -> DisplacedChains:
        """The chains, and positions of the atoms."""
        displaced = _displaced_mixture(volume)
        one = lambda key, objective, start: self._image(key, displaced, objective, start)
        return DisplacedChains(
            *each_image(self.sampler, one, key, (volume, noise, prior), batch, grid)
        )

    def _image(self, key, volume, objective, start: Start):
        p, j = len(objective.scale), len(volume.reference.positions)
        split = lambda q: (q[:p], self.width * q[p:].reshape(j, 3))
        potential = lambda q: self._potential(volume, objective, *split(q))
        probe, walk = jax.random.split(key)
        local = _mean_curvature(potential, jnp.pad(start.begin[0], (0, 3 * j)), p, probe)
        path = self.sampler.walk(
            walk,
            potential,
            jnp.pad(start.begin, ((0, 0), (0, 3 * j))),
            jnp.concatenate([start.variance, jnp.full(3 * j, 1 / jnp.maximum(local, 1))]),
            start.mixture,
        )

        def place(q):
            v, away = split(q)
            return volume.at(objective.latents(v).conformation).positions + away

        placed = jax.lax.map(place, path.points.reshape(-1, path.points.shape[-1]))
        away = self.width * path.points[..., p:].mean(axis=(0, 1)).reshape(j, 3)
        spread = jnp.sqrt(placed.var(axis=0).mean(axis=1))
        return Chains.of(objective, path), placed.mean(axis=0), away, spread

    def _potential(self, volume, objective: ScaledObjective, v, away):
        moved = eqx.tree_at(lambda o: o.volume, objective, _Moved(volume, away))
        conformation = objective.latents(v).conformation
        energy = self.restraint.energy(volume.at(conformation).positions + away)
        spring = 0.5 * jnp.sum((away / self.width) ** 2)
        return moved.objective(v) + energy / self.temperature + spring


class _Moved(AbstractVolume):
    """`source` with `away` `[j, 3]` added to every position."""

    source: DisplacedMixture
    away: Float[Array, "j 3"]
    latent_size: int = eqx.field(static=True)

    def __init__(self, source: DisplacedMixture, away: Float[Array, "j 3"]):
        self.source, self.away, self.latent_size = source, away, source.latent_size

    def at(self, latent) -> AbstractMixture:
        return self.source.at(latent).changed(Change(self.away))

    def slice(self, latent, rotation, grid):
        return self.at(latent).slice(latent[:0], rotation, grid)

    def density(self, latent, grid):
        return self.at(latent).density(latent[:0], grid)

    def prepare(self, grid):
        return self


def _mean_curvature(potential, point, first: int, key):
    """Mean of the second derivatives along the coordinates from `first` on (Hutchinson 1990)."""
    signs = jax.random.rademacher(key, (_PROBES, len(point) - first), point.dtype)

    def along(sign):
        direction = jnp.pad(sign, (first, 0))
        bend = jax.jvp(jax.grad(potential), (point,), (direction,))[1]
        return jnp.vdot(direction, bend) / len(sign)

    return jax.lax.map(along, signs).mean()


def _displaced_mixture(volume: AbstractVolume) -> DisplacedMixture:
    if not isinstance(volume, DisplacedMixture):
        raise TypeError(
            f"`LocalDisplacements` needs a `DisplacedMixture`. Got {type(volume).__name__}."
        )
    return volume
