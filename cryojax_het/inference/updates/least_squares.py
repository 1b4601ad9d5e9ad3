"""Weighted least squares for a voxel volume: sums in `step`, one solution in `sweep`."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float

from ...volumes.kernel import Kernel, quadratic
from ...volumes.voxels import Voxels
from ..devices import WHOLE
from ..model import Model
from ..posteriors.as_given import AsGiven
from ..update import AbstractUpdate
from .methods import AbstractMethod, Diagonal, Equations
from .on_devices import add_on_devices, empty_sums


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
        equations = empty_sums(
            self.mesh, lambda: self.method.zeros(self.size, self.spacing, self.kernel)
        )
        none = jnp.zeros(self.size // 2 + 1, self.spacing.dtype)
        return LeastSquaresState(equations, jax.device_put(none, NamedSharding(self.mesh, WHOLE)))

    def step(self, model, state, batch, grid, key):
        """Adds a batch to the equations."""

        def add(equations, posterior, batch, model, grid):
            return equations.add(batch, posterior.mean(), model.noise, grid)

        equations, posterior = add_on_devices(
            self.mesh, add, state.equations, batch, model, grid, key
        )
        state = eqx.tree_at(lambda s: s.equations, state, equations)
        return model, state, posterior, {"images": jnp.sum(batch.weight)}

    def sweep(self, model, state):
        """The model with the solved volume, and empty equations with the same prior."""
        voxels = self.method.solve(state.total(), state.noise_to_signal)
        volume = Voxels(voxels=voxels, spacing=self.spacing, kernel=self.kernel)
        model = eqx.tree_at(lambda m: m.volume, model, volume)
        cleared = jax.tree.map(lambda x: x if x.ndim == 1 else jnp.zeros_like(x), state.equations)
        return model, LeastSquaresState(cleared, state.noise_to_signal)


def example(voxels, noise, prior, mesh) -> tuple[LeastSquares, Model]:
    """For the laws of updates: as for a first pass, poses as given."""
    update = LeastSquares(voxels.spacing, voxels.voxels.shape[0], mesh)
    return update, Model(voxels, noise, prior, AsGiven())
