"""Single precision, which images are in, for what was made in the default one."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree


def single(tree: PyTree) -> PyTree:
    """Every array of real or complex numbers at 32 bits a real number; integers as they are."""
    return jax.tree.map(_single, tree)


def _single(leaf):
    if not eqx.is_inexact_array(leaf):
        return leaf
    kind = jnp.complex64 if jnp.iscomplexobj(leaf) else jnp.float32
    return leaf.astype(kind)
