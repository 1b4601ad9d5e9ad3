"""Draws of a hyper-molecule of any number of coefficients: blocked Gibbs sampling.

A sweep draws latent and contrast of each image, all else held, exactly on nodes; then all
coefficients at once from the normal density that they have given these,

    a = a₀ + A⁻¹ Σ_i c_i T(τ_i) ⊗ B_i*Λ⁻¹(y_i - y_i⁰),   a₀ ~ prior,  y⁰ ~ p(y | a₀, τ, c)

`A` the normal operator: an exact draw by solving equations as those of EM, of residuals to
simulated images (Papandreou & Yuille 2010, Adv. NIPS 23). No matrix of coefficients is made.
(Lederman, Andén & Singer 2020, Inverse Problems 36, sample by gradients what is drawn here.)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch, Latents, render
from ...volumes.linear import FourierLinear
from ..hyper_molecules.nodes import Contrast, Nodes, drawn_on_nodes
from ..hyper_molecules.voxel_equations import solve_in_basis
from ..linear_statistics import linear_statistics
from ..model import Model
from ..requirements import expanded_volume, gaussian_noise, local_prior
from .exact_blocks import ExactBlockEquations
from .hyper_molecule import HyperMoleculeUpdate


class SweepState(eqx.Module):
    """Between two batches of a sweep: sums; coefficients `a₀` drawn from the prior."""

    equations: ExactBlockEquations
    simulated: Float[Array, "k p"]


class HyperMoleculeSweep(eqx.Module):
    """A sweep over all images; `update` has basis, functions and how equations are solved.

    - `nodes`: where latents are drawn; `variance`: prior variances of coefficients.
    """

    update: HyperMoleculeUpdate
    nodes: Nodes
    variance: Float[Array, "k p"]

    def begin(self, key: PRNGKeyArray) -> SweepState:
        """Before the first batch."""
        count, grid, kernel = self.update.functions.count, self.update.grid, self.update.kernel
        equations = ExactBlockEquations.zeros(count, grid.size, grid.pixel_size, kernel)
        drawn = jax.random.normal(key, self.variance.shape, self.variance.dtype)
        return SweepState(equations, jnp.sqrt(self.variance) * drawn)

    def step(
        self, model: Model, state: SweepState, batch: Batch, grid: FourierGrid, key: PRNGKeyArray
    ) -> tuple[SweepState, Latents]:
        """With a batch: the sums, and its latents drawn. `model.volume` is `Expanded`, of the
        coefficients of the sweep before; keys are by image, whatever the batches."""
        noise = gaussian_noise(model.noise, "HyperMoleculeSweep")
        keys = jax.vmap(lambda index: jax.random.split(jax.random.fold_in(key, index)))(batch.index)
        drawn = self._drawn(keys[:, 0], model, batch, grid)
        latents = eqx.tree_at(
            lambda t: (t.conformation, t.contrast), batch.latents, (drawn.latent, drawn.contrast)
        )
        molecule = self.update.volume(state.simulated)
        simulated = molecule.expanded(self.update.grid, self.update.kernel).prepare(grid)

        def residual(key, image, latents, optics):
            clean = render(simulated, latents, optics, grid)
            return image - noise.of_group(optics.group).sample(key, clean, grid)

        images = jax.vmap(residual)(keys[:, 1], batch.images, latents, batch.optics)
        left = eqx.tree_at(lambda b: b.images, batch, images)
        weighted = drawn.contrast[:, None] * drawn.values
        moments = weighted, weighted[:, :, None] * weighted[:, None]
        equations = state.equations.add(left, latents, moments, noise, grid)
        return SweepState(equations, state.simulated), latents

    def end(self, state: SweepState) -> Float[Array, "k p"]:
        """The coefficients drawn."""
        update = self.update
        found = solve_in_basis(
            state.equations,
            update.basis,
            self.variance,
            jnp.zeros_like(self.variance),
            update.grid,
            update.stopping,
        )
        return state.simulated + found.coefficients

    def _drawn(self, keys, model, batch, grid):
        ready = expanded_volume(model.volume, "HyperMoleculeSweep").prepare(grid).terms
        assert isinstance(ready, FourierLinear)
        noise = gaussian_noise(model.noise, "HyperMoleculeSweep")
        prior = local_prior(model.prior, "HyperMoleculeSweep")
        contrast = Contrast(prior.contrast_mean, prior.contrast_width)
        found = linear_statistics(ready, noise, batch, grid)
        one = lambda key, gram, cross: drawn_on_nodes(key, gram, cross, self.nodes, contrast)
        return jax.vmap(one)(keys, found.gram, found.cross)
