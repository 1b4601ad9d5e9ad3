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
from ...volumes.expanded import Expanded
from ...volumes.linear import FourierLinear
from ..devices import BATCH, WHOLE
from ..hyper_molecules.nodes import Contrast, Nodes, drawn_on_nodes
from ..linear_statistics import linear_statistics
from ..model import Model
from ..requirements import expanded_volume, gaussian_noise, local_prior
from .exact_blocks import ExactBlockEquations
from .hyper_molecule import HyperMoleculeUpdate


class SweepState(eqx.Module):
    """Between two batches of a sweep: sums of each device, `[device, ...]`; coefficients `a₀` drawn
    from the prior, and maps of their terms."""

    equations: ExactBlockEquations
    coefficients: Float[Array, "k p"]
    simulated: Expanded


class HyperMoleculeSweep(eqx.Module):
    """A sweep over all images, on every device of the mesh of `update`, which has basis, functions
    and how equations are solved.

    - `nodes`: where latents are drawn; `variance`: prior variances of coefficients.
    """

    update: HyperMoleculeUpdate
    nodes: Nodes
    variance: Float[Array, "k p"]

    def begin(self, key: PRNGKeyArray) -> SweepState:
        """Before the first batch."""
        update = self.update
        drawn = jax.random.normal(key, self.variance.shape, self.variance.dtype)
        coefficients = jnp.sqrt(self.variance) * drawn
        simulated = update.volume(coefficients).expanded(update.grid, update.kernel)
        return SweepState(update.no_sums(), coefficients, simulated.prepare(update.grid))

    def step(
        self, model: Model, state: SweepState, batch: Batch, grid: FourierGrid, key: PRNGKeyArray
    ) -> tuple[SweepState, Latents]:
        """With a batch: the sums, and its latents drawn. `model.volume` is `Expanded`, of the
        coefficients of the sweep before; keys are by image, whatever the batches."""
        data = jax.random.key_data(key)  # of keys themselves no device can be told to hold all

        def one_device(equations, batch, model, simulated, data, grid):
            own = jax.tree.map(lambda x: x[0], equations)
            about = model, simulated, grid
            own, latents = self._added(own, batch, about, jax.random.wrap_key_data(data))
            return jax.tree.map(lambda x: x[None], own), latents

        everywhere = jax.shard_map(
            one_device,
            mesh=self.update.mesh,
            in_specs=(BATCH, BATCH, WHOLE, WHOLE, WHOLE, WHOLE),
            out_specs=BATCH,
            check_vma=False,
        )
        equations, latents = everywhere(state.equations, batch, model, state.simulated, data, grid)
        return SweepState(equations, state.coefficients, state.simulated), latents

    def _added(self, equations, batch, about, key):
        model, simulated, grid = about
        noise = gaussian_noise(model.noise, "HyperMoleculeSweep")
        keys = jax.vmap(lambda index: jax.random.split(jax.random.fold_in(key, index)))(batch.index)
        drawn = self._drawn(keys[:, 0], model, batch, grid)
        latents = eqx.tree_at(
            lambda t: (t.conformation, t.contrast), batch.latents, (drawn.latent, drawn.contrast)
        )

        def residual(key, image, latents, optics):
            clean = render(simulated, latents, optics, grid)
            return image - noise.of_group(optics.group).sample(key, clean, grid)

        images = jax.vmap(residual)(keys[:, 1], batch.images, latents, batch.optics)
        left = eqx.tree_at(lambda b: b.images, batch, images)
        weighted = drawn.contrast[:, None] * drawn.values
        moments = weighted, weighted[:, :, None] * weighted[:, None]
        return equations.add(left, latents, moments, noise, grid), latents

    def end(self, state: SweepState) -> Float[Array, "k p"]:
        """The coefficients drawn."""
        total, none = self.update.total(state.equations), jnp.zeros_like(self.variance)
        return state.coefficients + self.update.solved(total, self.variance, none).coefficients

    def _drawn(self, keys, model, batch, grid):
        ready = expanded_volume(model.volume, "HyperMoleculeSweep").prepare(grid).terms
        assert isinstance(ready, FourierLinear)
        noise = gaussian_noise(model.noise, "HyperMoleculeSweep")
        prior = local_prior(model.prior, "HyperMoleculeSweep")
        contrast = Contrast(prior.contrast_mean, prior.contrast_width)
        found = linear_statistics(ready, noise, batch, grid)
        one = lambda key, gram, cross: drawn_on_nodes(key, gram, cross, self.nodes, contrast)
        return jax.vmap(one)(keys, found.gram, found.cross)
