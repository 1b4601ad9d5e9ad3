"""Rows that are visited move as under an Adam of their own; nothing else moves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cryojax_het.inference.training.row_adam import RowAdam

TABLE = jax.random.normal(jax.random.key(0), (6, 3))
ADAM = RowAdam(0.05)


def slopes(number, rows):
    return jax.random.normal(jax.random.key(10 + number), (rows, 3))


def test_each_row_has_an_adam_of_its_own():
    table, moments = TABLE, ADAM.init(TABLE)
    visits = [[0, 1, 2], [2, 4, 0], [0, 4, 5]]
    for number, rows in enumerate(visits):
        given = (slopes(number, 3), jnp.array(rows), jnp.ones(3))
        table, moments = ADAM.step(table, moments, *given)
    peer = optax.adam(0.05)
    for row in range(6):
        value = TABLE[row]
        state = peer.init(value)
        for number, rows in enumerate(visits):
            if row in rows:
                slope = slopes(number, 3)[rows.index(row)]
                change, state = peer.update(slope, state)
                value = optax.apply_updates(value, change)
        np.testing.assert_allclose(table[row], value, rtol=1e-9)
    np.testing.assert_array_equal(table[3], TABLE[3])
    np.testing.assert_array_equal(moments.visits, [3, 1, 2, 0, 2, 1])


def test_padding_names_a_row_again_and_moves_nothing():
    first = ADAM.step(TABLE, ADAM.init(TABLE), slopes(0, 4), jnp.arange(4), jnp.ones(4))
    short = ADAM.step(*first, slopes(1, 2), jnp.array([1, 3]), jnp.ones(2))
    index, weight = jnp.array([1, 3, 3, 3]), jnp.array([1.0, 1.0, 0.0, 0.0])
    given = jnp.concatenate([slopes(1, 2), jnp.full((2, 3), jnp.nan)])
    padded = ADAM.step(*first, given, index, weight)
    for one, two in zip(jax.tree.leaves(short), jax.tree.leaves(padded), strict=True):
        np.testing.assert_array_equal(one, two)
