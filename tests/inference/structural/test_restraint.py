import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.structural import angles, bonds
from cryojax_het.inference.structural.balanced_weight import balanced_weight
from cryojax_het.inference.structural.restraint import Restraints


def test_a_sum_of_weighted_terms(helix):
    terms = {"bonds": bonds.example(helix), "angles": angles.example(helix)}
    weights = {"bonds": jnp.asarray(2.0), "angles": jnp.asarray(0.0)}
    positions = jnp.asarray(1.1 * helix + np.sin(7 * helix[:, ::-1]))
    both = Restraints(terms, weights)
    found = both.energies(positions)
    assert found["angles"] > 0  # of weight 0, and still reported
    np.testing.assert_allclose(both.energy(positions), 2 * found["bonds"], rtol=1e-12)
    assert Restraints({}, {}).energy(positions) == 0


def test_terms_need_weights(helix):
    with pytest.raises(ValueError, match="bonds"):
        Restraints({"bonds": bonds.example(helix)}, {})


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
