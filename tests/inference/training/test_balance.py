"""How hard restraints pull beside the images."""

import jax.numpy as jnp
import numpy as np

from cryojax_het.inference.training.balance import BalancedGradients, norm


def balanced_weight(data, restraint, **options):
    return BalancedGradients(**options).factor(norm(data), norm(restraint))


def test_balanced_weight_makes_gradients_a_share_of_the_datas():
    data = {"a": jnp.array([3.0, 0]), "b": jnp.array([[4.0]])}
    restraint = {"a": jnp.array([0.0, 0.2]), "b": jnp.array([[0.0]])}
    np.testing.assert_allclose(balanced_weight(data, restraint), 0.9 * 5 / 0.2)
    np.testing.assert_allclose(balanced_weight(data, restraint, most=7.0), 7)
    np.testing.assert_allclose(balanced_weight(restraint, data, share=0.5), 0.5 * 0.2 / 5)
    zero = {"a": jnp.zeros(2), "b": jnp.zeros((1, 1))}
    assert balanced_weight(data, zero) == 0
    assert balanced_weight(zero, data) == 0
    assert balanced_weight(zero, zero) == 0
