"""Weights of a network as arrays by name, for a file of a model."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def weight_arrays(parameters: Any, prefix: str) -> dict[str, np.ndarray]:
    """Every leaf by `prefix` and its path, on the host."""
    leaves = jax.tree_util.tree_leaves_with_path(parameters)
    return {f"{prefix}{jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in leaves}


def filled(parameters: Any, prefix: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """The arrays of `weight_arrays` in the places of `parameters`, in their own precision."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jnp.asarray(arrays[f"{prefix}{jax.tree_util.keystr(path)}"]), parameters
    )


def any_key() -> jax.Array:
    """For weights that are replaced at once. Made when it is needed: an array at import would
    start a backend before the command line has asked for its devices."""
    return jax.random.key(0)
