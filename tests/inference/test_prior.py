"""The local prior against scipy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.image import Latents
from cryojax_het.inference.prior import LocalPrior

PRIOR = LocalPrior(0.03, 2.0, 1.0, 0.2)


def place(turn, shift, contrast, conformation):
    start = Rotation.from_euler("zyz", [0.3, 1.1, -0.7])
    rotation = (Rotation.from_rotvec(turn) * start).as_matrix()
    arrays = (conformation, rotation, shift, contrast)
    return Latents(*(jnp.asarray(array, float) for array in arrays))


def test_density_is_the_product_of_scipys():
    start = place([0.0, 0.0, 0.0], [1.0, -2.0], 0.9, [0.0, 0.0])
    turn, shift, contrast = [0.02, -0.05, 0.01], [2.5, 0.5], 1.3
    conformation = [0.4, -1.2]
    expected = stats.norm.logpdf(turn, scale=0.03).sum()
    expected += stats.norm.logpdf(shift, [1.0, -2.0], 2.0).sum()
    expected += stats.norm.logpdf(contrast, 1.0, 0.2)
    expected += stats.norm.logpdf(conformation).sum()
    value = PRIOR.log_prob(place(turn, shift, contrast, conformation), start)
    assert value == pytest.approx(expected, rel=1e-9)


def test_it_does_not_matter_from_where_the_poses_are_seen():
    """The density depends on the turn's size alone, so any common rotation leaves it alone."""
    start = place([0.0, 0.0, 0.0], [0.0, 0.0], 1.0, [])
    moved = place([0.01, 0.04, -0.02], [0.0, 0.0], 1.0, [])
    common = jnp.asarray(Rotation.random(rng=np.random.default_rng(0)).as_matrix())
    turned = lambda x: Latents(x.conformation, x.rotation @ common, x.shift, x.contrast)
    expected = float(PRIOR.log_prob(moved, start))
    assert PRIOR.log_prob(turned(moved), turned(start)) == pytest.approx(expected, rel=1e-9)
