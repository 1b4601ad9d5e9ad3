"""Weighted least squares for a voxel volume, solved exactly: sums in `step`, CG in `sweep`."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float

from ...volumes.kernel import Kernel, quadratic
from ...volumes.voxels import Voxels
from ..devices import BATCH, WHOLE
from ..model import Model
from ..update import AbstractUpdate
from .conjugate_gradients import Stopping
from .toeplitz import AbstractSupport, ExactEquations, WholeBox, solve


@final
class ExactLeastSquaresState(eqx.Module):
    """Exact equations of each device, `[device, ...]`, and the prior for the solution."""

    equations: ExactEquations
    noise_to_signal: Float[Array, " s"]

    def total(self) -> ExactEquations:
        """The sum over devices."""
        first = jax.tree.map(lambda x: x[0], self.equations)
        sums = [table.sum(axis=0) for table in _tables(self.equations)]
        return eqx.tree_at(_tables, first, sums)


@final
class ExactLeastSquares(AbstractUpdate[ExactLeastSquaresState]):
    """As `LeastSquares`, without its diagonal approximation; see `toeplitz` for what it costs.

    Takes posteriors with one pose per image: their mean is used.
    """

    spacing: Float[Array, ""]  # Å per voxel
    size: int = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True, default=quadratic())
    support: AbstractSupport = WholeBox()
    stopping: Stopping = eqx.field(static=True, default=Stopping())

    def init(self, model: Model) -> ExactLeastSquaresState:
        """Empty equations, and no prior."""
        del model
        devices = self.mesh.size

        def empty():
            one = ExactEquations.zeros(self.size, self.spacing, self.kernel)
            equations = jax.tree.map(lambda x: jnp.broadcast_to(x, (devices, *x.shape)), one)
            none = jnp.zeros(self.size // 2 + 1, self.spacing.dtype)
            return ExactLeastSquaresState(equations, none)

        # Placed as `step` returns them: other placements would compile `step` a second time.
        spread, whole = (NamedSharding(self.mesh, spec) for spec in (BATCH, WHOLE))
        shardings = jax.tree.map(lambda _: spread, jax.eval_shape(empty))
        shardings = eqx.tree_at(lambda s: s.noise_to_signal, shardings, whole)
        return jax.jit(empty, out_shardings=shardings)()

    def step(self, model, state, batch, grid, key):
        """Adds a batch to the equations."""
        posterior = model.posterior.infer(key, model.volume, model.noise, model.prior, batch, grid)

        def add(equations, batch, latents, noise, grid):
            own = jax.tree.map(lambda x: x[0], equations)
            return jax.tree.map(lambda x: x[None], own.add(batch, latents, noise, grid))

        specs = (BATCH, BATCH, BATCH, WHOLE, WHOLE)
        everywhere = jax.shard_map(
            add, mesh=self.mesh, in_specs=specs, out_specs=BATCH, check_vma=False
        )
        equations = everywhere(state.equations, batch, posterior.mean(), model.noise, grid)
        state = eqx.tree_at(lambda s: s.equations, state, equations)
        return model, state, posterior, {"images": jnp.sum(batch.weight)}

    def sweep(self, model, state):
        """The model with the solved volume, and empty equations with the same prior."""
        equations = state.total()
        voxels = solve(equations, state.noise_to_signal, self.support, self.stopping)
        volume = Voxels(voxels=voxels, spacing=self.spacing, kernel=self.kernel)
        model = eqx.tree_at(lambda m: m.volume, model, volume)
        empty = [table * 0 for table in _tables(state.equations)]
        return model, eqx.tree_at(lambda s: _tables(s.equations), state, empty)


def _tables(equations: ExactEquations):
    return equations.diagonal.table, equations.weights
