"""The joint density of a model's parameters and of the latents of images: what is sampled.

`p(θ, v | y) ∝ p(θ) Π_i p(v_i) p(y_i | θ, v_i)`, of whatever part of the model and of the latents is
chosen; the rest is held as it is.
"""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch, Latents
from .model import Model
from .parameter_prior import AbstractParameterPrior
from .posteriors.chosen_unknowns import ChosenUnknowns
from .posteriors.scaled_objective import ScaledObjective
from .requirements import gaussian_noise

Parameters = dict[str, Float[Array, "..."]]


class Widths(eqx.Module):
    """Units of unknowns: `scale`, the widths of the prior; `centre`, its middle in these."""

    scale: Float[Array, "*b p"]
    centre: Float[Array, "*b p"]


class Joint(eqx.Module):
    """A model, which arrays of it are unknown with the prior of each, and which latents are.

    - `model`: where sampling starts, and what is held;
    - `chosen`: booleans of the structure of `model` or a prefix of it, as `equinox.partition` takes
      them: True for each array that is unknown;
    - `priors`: of each of those, by its path in the model: `"volume.voxels"`, `"noise.power"`;
    - `unknowns`: which latents of each image are unknown.

    `ValueError` where priors and choice disagree, each name told; `TypeError` for an array that is
    not real.
    """

    model: Model
    chosen: PyTree[bool] = eqx.field(static=True)
    priors: Mapping[str, AbstractParameterPrior]
    unknowns: ChosenUnknowns = ChosenUnknowns()

    def __check_init__(self):
        chosen = named_arrays(eqx.filter(self.model, self.chosen))
        for name, array in chosen.items():
            if not eqx.is_inexact_array(array) or jnp.iscomplexobj(array):
                raise TypeError(f"`chosen` names {name}, which is no array of real numbers.")
        lacking, extra = set(chosen) - set(self.priors), set(self.priors) - set(chosen)
        if lacking or extra:
            raise ValueError(
                f"`priors` must name what `chosen` does. Without a prior: {sorted(lacking)}; with "
                f"one, but not chosen: {sorted(extra)}."
            )

    def start(self) -> Parameters:
        """Free coordinates of the parameters as the model has them."""
        values = named_arrays(eqx.filter(self.model, self.chosen))
        return {name: self.priors[name].free(value) for name, value in values.items()}

    def values(self, free: Parameters) -> Parameters:
        """Parameters in their own units, at free coordinates."""
        return {name: self.priors[name].value(free[name]) for name in self.priors}

    def model_at(self, values: Parameters) -> Model:
        """The model with these values; further names are not looked at."""
        unknown, held = eqx.partition(self.model, self.chosen)
        put = lambda path, _: values[_name(path)]
        return eqx.combine(jax.tree_util.tree_map_with_path(put, unknown), held)

    def log_prior(self, free: Parameters) -> Float[Array, ""]:
        """Log density of the parameters' free coordinates."""
        return sum((self.priors[name].log_prob(free[name]) for name in self.priors), jnp.zeros(()))

    def prepared(self, values: Parameters, grid: FourierGrid) -> Model:
        """The model with these values, its volume ready to slice on `grid`."""
        model = self.model_at(values)
        return eqx.tree_at(lambda m: m.volume, model, model.volume.prepare(grid))

    def widths(self, batch: Batch, grid: FourierGrid) -> Widths:
        """Units of the unknowns of each image, from the prior of its latents."""

        def one(image, start, optics):
            found = self._scaled(self.model, (image, start, optics), grid)
            return Widths(found.scale, found.centre)

        return jax.vmap(one)(batch.images, batch.latents, batch.optics)

    def image(
        self, model: Model, data: tuple, widths: Widths, grid: FourierGrid
    ) -> ScaledObjective:
        """The density of one image under a prepared model; `data`: image, start of its latents,
        optics."""
        noise = gaussian_noise(model.noise, "Joint").of_group(data[2].group)
        about = (data, grid, widths.scale, widths.centre)
        return ScaledObjective(self.unknowns, noise, model.prior, model.volume, *about)

    def _scaled(self, model, data, grid):
        known = gaussian_noise(model.noise, "Joint"), model.prior, model.volume
        return ScaledObjective.of(self.unknowns, known, data, grid)

    def size(self) -> int:
        """Unknowns of one image."""
        return self.unknowns.count(self.model.volume.latent_size)

    def latents(self, scaled: Float[Array, "b p"], widths: Widths, start: Latents) -> Latents:
        """Of each image, at scaled unknowns."""
        return jax.vmap(self.unknowns.moved)(start, scaled * widths.scale)


def log_likelihood(objective: ScaledObjective, v: Float[Array, " p"]) -> Float[Array, ""]:
    """`log p(y | v)` of one image, `-inf` for turns beyond half of one."""
    image, start = objective.data[:2]
    unknowns = objective.unknowns
    assert isinstance(unknowns, ChosenUnknowns)
    found = objective.noise.log_prob(image, objective.rendered(v), objective.grid)
    return jnp.where(unknowns.inside(start, v * objective.scale), found, -jnp.inf)


def named_arrays(tree: PyTree) -> Parameters:
    """The leaves of `tree` by their paths, fields joined by dots."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def choose(model: Model, *names: str) -> PyTree[bool]:
    """Booleans of the structure of `model`, True for the arrays of these paths. `ValueError` for a
    path that the model has not."""
    arrays = named_arrays(eqx.filter(model, eqx.is_inexact_array))
    unknown = [name for name in names if name not in arrays]
    if unknown:
        raise ValueError(f"The model has no array {unknown[0]!r}; it has {sorted(arrays)}.")
    return jax.tree_util.tree_map_with_path(lambda path, _: _name(path) in names, model)


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
