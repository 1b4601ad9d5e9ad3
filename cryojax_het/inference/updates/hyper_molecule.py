"""EM for a hyper-molecule of many coefficients: normal equations of voxels, solved in its basis.

The E-step has the moments of the functions of the latent on nodes; the M-step gathers one
convolution for each pair of functions in a pass over the images, and solves for the coefficients
by conjugate gradients. (Lederman, Andén & Singer 2020, Inverse Problems 36, for the model.)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid
from ...volumes.hyper_molecule import HyperMolecule
from ...volumes.kernel import Kernel, quadratic
from ...volumes.latent_functions.base import AbstractLatentFunctions
from ...volumes.latent_functions.interval import Legendre
from ...volumes.linear import LinearVolume, stacked
from ...volumes.prolate.basis import ProlateBasis, prolate_basis
from ...volumes.prolate.projection import projected
from ..hyper_molecules.coefficient_prior import prior_variance
from ..hyper_molecules.nodes import Nodes
from ..hyper_molecules.voxel_equations import BasisSolution, solve_in_basis
from ..model import Model
from ..posteriors.node_posterior import NodePosterior
from ..requirements import expanded_volume
from ..update import AbstractUpdate
from .conjugate_gradients import Stopping
from .exact_blocks import ExactBlockEquations
from .on_devices import add_on_devices, empty_sums


class HyperMoleculeState(eqx.Module):
    """Sums of each device, `[device, ...]`; coefficients of the pass before, their prior variances,
    and about how uncertain they are."""

    equations: ExactBlockEquations
    coefficients: Float[Array, "k p"]
    variance: Float[Array, "k p"]
    uncertain: Float[Array, "k p"]


class HyperMoleculeUpdate(AbstractUpdate[HyperMoleculeState]):
    """EM update of an `Expanded` volume whose terms are those of a hyper-molecule, on every device
    of `mesh`; `grid`: of the images.

    Takes `OnNodes` posteriors.
    """

    basis: ProlateBasis
    functions: AbstractLatentFunctions
    grid: FourierGrid
    mesh: Mesh = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True, default=quadratic())
    stopping: Stopping = eqx.field(static=True, default=Stopping(tolerance=3e-3, limit=30))

    def init(self, model):
        """From the coefficients of the model's maps, and the prior that their mean implies.

        `TypeError` for a volume that is not `Expanded`."""
        terms = expanded_volume(model.volume, "HyperMoleculeUpdate").terms
        assert isinstance(terms, LinearVolume)
        a = projected(self.basis, stacked(terms), self.grid)
        return self.under(a, prior_variance(self.basis, a[:, 0], self.functions))

    def under(
        self, coefficients: Float[Array, "k p"], variance: Float[Array, "k p"]
    ) -> HyperMoleculeState:
        """Empty sums; where conjugate gradients start from, and the prior."""
        return HyperMoleculeState(self.no_sums(), coefficients, variance, variance)

    def no_sums(self) -> ExactBlockEquations:
        """Of no image, on every device."""
        about = self.functions.count, self.grid.size, self.grid.pixel_size, self.kernel
        return empty_sums(self.mesh, lambda: ExactBlockEquations.zeros(*about))

    def total(self, equations: ExactBlockEquations) -> ExactBlockEquations:
        """Of all devices."""
        found = jax.tree.map(lambda x: x.sum(axis=0), equations)
        return eqx.tree_at(lambda e: e.spacing, found, self.grid.pixel_size)

    def solved(
        self,
        total: ExactBlockEquations,
        variance: Float[Array, "k p"],
        start: Float[Array, "k p"],
    ) -> BasisSolution:
        """The coefficients that equations and prior variances imply, by descent from `start`."""
        return solve_in_basis(total, self.basis, variance, start, self.grid, self.stopping)

    def volume(self, coefficients: Float[Array, "k p"]) -> HyperMolecule:
        """The molecule of these coefficients."""
        return HyperMolecule(coefficients, self.basis, self.functions)

    def step(self, model, state, batch, grid, key):
        """Adds a batch to the sums."""

        def add(equations, posterior, batch, model, grid):
            moments = (posterior.first, posterior.second)
            return equations.add(batch, posterior.mean(), moments, model.noise, grid)

        held = state.equations
        held, posterior = add_on_devices(self.mesh, add, held, batch, model, grid, key)
        state = eqx.tree_at(lambda s: s.equations, state, held)
        gain = jnp.sum(batch.weight * posterior.log_likelihood)
        metrics = {"images": jnp.sum(batch.weight), "log_likelihood": gain}
        return model, state, posterior, metrics

    def sweep(self, model, state):
        """The model with new terms, and empty sums."""
        found = self.solved(self.total(state.equations), state.variance, state.coefficients)
        molecule = self.volume(found.coefficients)
        model = eqx.tree_at(lambda m: m.volume, model, molecule.expanded(self.grid, self.kernel))
        empty = jax.tree.map(jnp.zeros_like, state.equations)
        empty = eqx.tree_at(lambda e: e.spacing, empty, state.equations.spacing)
        return model, HyperMoleculeState(empty, found.coefficients, state.variance, found.variance)


def example(voxels, noise, prior, mesh) -> tuple[HyperMoleculeUpdate, Model]:
    """For the laws of updates: a curve of second order through functions of a small ball."""
    grid = FourierGrid(len(voxels.voxels), voxels.spacing)
    length = float(grid.length)
    functions = Legendre(2)
    update = HyperMoleculeUpdate(prolate_basis(length / 4, 6 / length), functions, grid, mesh)
    v = voxels.voxels
    maps = jnp.stack([v, 0.3 * jnp.roll(v, 2, axis=0), 0.2 * jnp.roll(v, 3, axis=1)])
    start = update.volume(projected(update.basis, maps, grid)).expanded(grid)
    posterior = NodePosterior(Nodes.over(functions, 5))
    return update, Model(start, noise, prior, posterior)
