import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.structural import angles, bonds
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
