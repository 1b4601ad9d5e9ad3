"""Where arrays live: one mesh axis `data`, batches sharded over it, everything else replicated.

No other file names a device. Works for one CPU, several devices and several hosts alike.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

Result = TypeVar("Result")

BATCH = PartitionSpec("data")
WHOLE = PartitionSpec()


def data_mesh() -> Mesh:
    """All devices of all hosts along one axis, `data`.

    Automatic axes: under explicit ones a gather by sharded indices, which every voxel model
    makes, is an error.
    """
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def on_cpu(mesh: Mesh) -> bool:
    """Whether its devices are CPUs, whose caches are small beside a batch's activations."""
    return mesh.devices.flat[0].platform == "cpu"


def place_batch(mesh: Mesh) -> Callable[[Any], Any]:
    """Puts host arrays, the part of a batch that this process holds, on the mesh."""
    sharding = NamedSharding(mesh, BATCH)

    def place(tree: PyTree) -> PyTree:
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree
        )

    return place


def own_part(rows: np.ndarray) -> np.ndarray:
    """The rows of a batch that this process reads: equal shares in the order of the processes.

    The length must be a multiple of the number of processes; pad first.
    """
    return np.split(rows, jax.process_count())[jax.process_index()]


def to_host(tree: PyTree) -> PyTree:
    """Every row of sharded arrays, as NumPy on each process."""
    if jax.process_count() == 1:
        return jax.tree.map(np.asarray, tree)
    from jax.experimental import multihost_utils

    return jax.tree.map(
        lambda x: np.asarray(multihost_utils.process_allgather(x, tiled=True)), tree
    )


def first_process_first(first: Callable[[], Result], rest: Callable[[], Result]) -> Result:
    """`first()` on process 0, and only then `rest()` on each other: for what one must make and all
    then find. Where `first` fails the others raise `RuntimeError`."""
    if jax.process_count() == 1:
        return first()
    from jax.experimental import multihost_utils

    alone = jax.process_index() == 0
    result, error = None, None
    if alone:
        try:
            result = first()
        except Exception as caught:  # raised again once the others know
            error = caught
    failed = multihost_utils.broadcast_one_to_all(np.asarray(error is not None))
    if error is not None:
        raise error
    if failed:
        raise RuntimeError("Process 0 could not go on; its own message says why.")
    return result if alone else rest()  # pyright: ignore[reportReturnType]


def use_cpu_devices(count: int) -> None:
    """Asks for `count` virtual CPU devices; without effect once a backend has started, and where
    computation is on other devices. For the command line alone."""
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        return  # the backend runs already: its number of devices stands


def shard_like(mesh: Mesh, tree: PyTree) -> PyTree:
    """Puts whole host arrays `[device, ...]`, known to every process, back on their devices."""
    sharding = NamedSharding(mesh, BATCH)
    return jax.tree.map(
        lambda x: jax.make_array_from_callback(x.shape, sharding, lambda where: x[where]), tree
    )


def replicated(mesh: Mesh, tree: PyTree) -> PyTree:
    """The arrays of `tree` whole on every device: placed so from the start, what a step returns is
    placed as what it took, and is not compiled for again."""
    everywhere = NamedSharding(mesh, WHOLE)
    put = lambda x: jax.device_put(x, everywhere) if isinstance(x, jax.Array) else x
    return jax.tree.map(put, tree)


def keep_compilations() -> None:
    """Keeps compiled programs in the user's cache folder, so that the next run of the same box
    starts at once. For the command line alone; a folder set by the user stands."""
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    jax.config.update("jax_compilation_cache_dir", str(Path(home) / "cryojax_het" / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def spread(mesh: Mesh, tree: PyTree) -> PyTree:
    """Arrays `[chain, ...]` over the devices of `mesh`, where their number divides all of the
    leading axes; else as they are. What is mapped over chains then runs on all devices."""
    if any(x.shape[0] % mesh.size for x in jax.tree.leaves(tree)):
        return tree
    return jax.tree.map(lambda x: jax.device_put(x, NamedSharding(mesh, BATCH)), tree)
