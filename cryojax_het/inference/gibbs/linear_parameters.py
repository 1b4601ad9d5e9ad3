"""Parameters that images are linear in, drawn exactly from the normal density that they have given
all else."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging.image import render
from ..parameter_prior import NormalParameters
from ..requirements import gaussian_noise
from .block import AbstractBlock, Place, World


class AbstractDesign(eqx.Module):
    """Normal equations of parameters in free coordinates `f`, flat.

    `-log p(y | f) = ½ fᵀ G f - hᵀ f + constant`, the latents and all else held.
    """

    @abc.abstractmethod
    def sums(self, world: World, place: Place) -> tuple[Float[Array, "q q"], Float[Array, " q"]]:
        """`G` and `h` over all images."""


class ByLinearity(AbstractDesign):
    """Of any parameter of any volume whose slices are linear in it: columns are derivatives.

    Each image costs as many slices as there are parameters, which are held together for `chunk`
    images at a time.

    - `name`: path of the parameter.
    """

    name: str = eqx.field(static=True)
    chunk: int = eqx.field(static=True, default=16)

    def sums(self, world, place):
        prior, batch, joint = world.joint.priors[self.name], world.batch, world.joint
        latents = joint.latents(place.scaled, world.widths, batch.latents)
        shape = place.values[self.name].shape
        zero = jnp.zeros(place.values[self.name].size, place.scaled.dtype)

        def model_at(free):
            values = {**place.values, self.name: prior.value(free.reshape(shape))}
            return joint.prepared(values, world.grid)

        def one(given):
            image, latent, optics = given
            noise = gaussian_noise(joint.model_at(place.values).noise, "ByLinearity")
            own = noise.of_group(optics.group)
            whitened = lambda free: own.whiten(
                render(model_at(free).volume, latent, optics, world.grid), world.grid
            )
            columns = jax.jacfwd(whitened)(zero)
            right = own.whiten(image, world.grid) - whitened(zero)
            return _product(columns.T, columns), _product(columns.T, right)

        return _summed(one, (batch.images, latents, batch.optics), self.chunk)


class LinearParameters(AbstractBlock[tuple]):
    """An exact draw `f ~ N(A⁻¹ h, A⁻¹)`, `A = G + 1/λ`, by Cholesky, of an array of normal prior.

    `λ` is the scale of the prior's variance: 1, or what `PriorScale` draws.

    - `name`: path of the array; `design`: how `G` and `h` are found.
    """

    name: str = eqx.field(static=True)
    design: AbstractDesign

    @classmethod
    def by_linearity(cls, name: str, chunk: int = 16) -> "LinearParameters":
        """Of any volume."""
        return cls(name, ByLinearity(name, chunk))

    def start(self, world, place):
        prior = world.joint.priors.get(self.name)
        if not isinstance(prior, NormalParameters):
            raise TypeError(
                f"{self.name} is drawn exactly under `NormalParameters` alone. Got "
                f"{type(prior).__name__}."
            )
        return ()

    def move(self, key, world, place, tuning, warming):
        prior, old = world.joint.priors[self.name], place.values[self.name]
        gram, right = self.design.sums(world, place)
        scale = place.values.get(scale_name(self.name), jnp.ones((), gram.dtype))
        free = normal_draw(key, gram + jnp.eye(len(right), dtype=gram.dtype) / scale, right)
        values = {**place.values, self.name: prior.value(free.reshape(old.shape))}
        return Place(values, place.scaled), tuning, {}


def scale_name(name: str) -> str:
    """Under which name a chain holds the scale of the prior of the array `name`."""
    return f"{name} prior scale"


def normal_draw(key, precision: Float[Array, "q q"], right: Float[Array, " q"]):
    """A draw of `N(A⁻¹ h, A⁻¹)`, `A` the precision."""
    factor = jnp.linalg.cholesky(precision)
    solve = jax.scipy.linalg.solve_triangular
    forward = solve(factor, right, lower=True)
    unit = jax.random.normal(key, right.shape, right.dtype)
    return solve(factor, forward + unit, lower=True, trans=1)


def _summed(one, data, chunk: int):
    """The sum of `one` over the leading axis of `data`, `chunk` at a time."""
    count = jax.tree.leaves(data)[0].shape[0]
    size = min(chunk, count)
    whole = count // size * size
    split = lambda x: x[:whole].reshape(whole // size, size, *x.shape[1:])
    added = lambda part: jax.tree.map(lambda x: x.sum(axis=0), jax.vmap(one)(part))
    plus = lambda total, part: (jax.tree.map(jnp.add, total, added(part)), None)
    rest = jax.tree.map(lambda x: x[whole:], data)
    if whole == count:
        rest = None
    parts = jax.tree.map(split, data)
    first = added(jax.tree.map(lambda x: x[0], parts))
    total, _ = jax.lax.scan(plus, first, jax.tree.map(lambda x: x[1:], parts))
    return total if rest is None else plus(total, rest)[0]


def _product(a, b):
    return jnp.matmul(a, b, precision="highest")
