"""Weighted least squares for a voxel volume: sums in `step`, one solution in `sweep`."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from ...volumes.kernel import Kernel, quadratic
from ...volumes.voxels import Voxels
from ..devices import BATCH, WHOLE
from ..model import Model
from ..update import AbstractUpdate
from .methods import AbstractMethod, Diagonal, Equations


class LeastSquaresState(eqx.Module):
    """Normal equations of each device, `[device, ...]`, and the prior for the solution."""

    equations: Equations
    noise_to_signal: Float[Array, " s"]

    def total(self) -> Equations:
        """The sum over devices."""
        # Tables add up; the spacing, one number per device, is the same on all.
        return jax.tree.map(lambda x: x[0] if x.ndim == 1 else x.sum(axis=0), self.equations)


class LeastSquares(AbstractUpdate[LeastSquaresState]):
    """Regularised least squares for a volume of `size` voxels on every device of `mesh`.

    Every device lays its images down in tables of its own; nothing passes between devices before
    the end of a pass. Takes posteriors with one pose per image: their mean is used.
    """

    spacing: Float[Array, ""]  # Å per voxel
    size: int = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True, default=quadratic())
    method: AbstractMethod = Diagonal()

    def init(self, model: Model) -> LeastSquaresState:
        """Empty equations, and no prior."""
        del model
        devices = self.mesh.size

        def empty():
            one = self.method.zeros(self.size, self.spacing, self.kernel)
            equations = jax.tree.map(lambda x: jnp.broadcast_to(x, (devices, *x.shape)), one)
            return LeastSquaresState(equations, jnp.zeros(self.size // 2 + 1, self.spacing.dtype))

        # Placed as `step` returns them: other placements would compile `step` a second time.
        spread, whole = (jax.sharding.NamedSharding(self.mesh, spec) for spec in (BATCH, WHOLE))
        shardings = jax.tree.map(lambda _: spread, jax.eval_shape(empty))
        shardings = eqx.tree_at(lambda s: s.noise_to_signal, shardings, whole)
        return jax.jit(empty, out_shardings=shardings)()

    def step(self, model, state, batch, grid, key):
        """Adds a batch to the equations."""

        def add(equations, batch, model, grid, key):
            # Each device infers its own images too: left to itself, the compiler would gather
            # them wherever a slice is made in groups.
            posterior = model.posterior.infer(
                key, model.volume, model.noise, model.prior, batch, grid
            )
            own = jax.tree.map(lambda x: x[0], equations)
            summed = own.add(batch, posterior.mean(), model.noise, grid)
            return jax.tree.map(lambda x: x[None], summed), posterior

        specs = (BATCH, BATCH, WHOLE, WHOLE, WHOLE)
        everywhere = jax.shard_map(
            add, mesh=self.mesh, in_specs=specs, out_specs=BATCH, check_vma=False
        )
        equations, posterior = everywhere(state.equations, batch, model, grid, key)
        state = eqx.tree_at(lambda s: s.equations, state, equations)
        return model, state, posterior, {"images": jnp.sum(batch.weight)}

    def sweep(self, model, state):
        """The model with the solved volume, and empty equations with the same prior."""
        voxels = self.method.solve(state.total(), state.noise_to_signal)
        volume = Voxels(voxels=voxels, spacing=self.spacing, kernel=self.kernel)
        model = eqx.tree_at(lambda m: m.volume, model, volume)
        cleared = jax.tree.map(lambda x: x if x.ndim == 1 else jnp.zeros_like(x), state.equations)
        return model, LeastSquaresState(cleared, state.noise_to_signal)
