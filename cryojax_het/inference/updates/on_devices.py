"""Sums over images that every device keeps for itself until the end of a pass."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jaxtyping import PRNGKeyArray, PyTree

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ..devices import BATCH, WHOLE
from ..model import Model

Sums = TypeVar("Sums")


def empty_sums(mesh: Mesh, make: Callable[[], Sums]) -> Sums:
    """`make()` on every device of `mesh`: arrays `[device, ...]`."""

    def empty():
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (mesh.size, *x.shape)), make())

    # Placed as `add_on_devices` returns them: other placements would compile it a second time.
    spread = NamedSharding(mesh, BATCH)
    shardings = jax.tree.map(lambda _: spread, jax.eval_shape(empty))
    return jax.jit(empty, out_shardings=shardings)()


def add_on_devices(
    mesh: Mesh,
    add: Callable[[Any, Any, Batch, Model, FourierGrid], Any],
    sums: PyTree,
    batch: Batch,
    model: Model,
    grid: FourierGrid,
    key: PRNGKeyArray,
) -> tuple[PyTree, PyTree]:
    """`sums` with a batch, and the batch's posterior; each device infers its own images too (left
    to itself, the compiler would gather them wherever a slice is made in groups).

    - `add(sums, posterior, batch, model, grid)`: the sums of one device with its part.
    """

    def one_device(sums, batch, model, grid, key):
        posterior = model.posterior.infer(key, model.volume, model.noise, model.prior, batch, grid)
        own = jax.tree.map(lambda x: x[0], sums)
        return jax.tree.map(lambda x: x[None], add(own, posterior, batch, model, grid)), posterior

    everywhere = jax.shard_map(
        one_device,
        mesh=mesh,
        in_specs=(BATCH, BATCH, WHOLE, WHOLE, WHOLE),
        out_specs=BATCH,
        check_vma=False,
    )
    return everywhere(sums, batch, model, grid, key)
