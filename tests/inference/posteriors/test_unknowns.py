"""What each chart of the latents moves, and what it leaves."""

import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.image import Latents
from cryojax_het.inference.posteriors.unknowns import (
    ConformationAlone,
    ConformationContrast,
    ConformationPose,
    ConformationPoseContrast,
)


def test_unknowns_move_what_they_say():
    start = Latents(
        jnp.array([0.5, -1.0]), so3.exp(jnp.ones(3)), jnp.array([1.0, 2.0]), jnp.ones(())
    )
    step = jnp.arange(1.0, 9.0) / 10
    alone = ConformationAlone().moved(start, step[:2])
    pose = ConformationPose().moved(start, step[:7])
    every = ConformationPoseContrast().moved(start, step)
    scaled = ConformationContrast().moved(start, step[:3])
    assert [
        u().count(2) for u in (ConformationAlone, ConformationPose, ConformationPoseContrast)
    ] == [
        2,
        7,
        8,
    ]
    for moved in (alone, pose, every):
        np.testing.assert_allclose(moved.conformation, [0.6, -0.8])
    np.testing.assert_array_equal(alone.rotation, start.rotation)
    for moved in (pose, every):
        np.testing.assert_allclose(
            so3.log(moved.rotation @ start.rotation.T), step[2:5], atol=1e-12
        )
        np.testing.assert_allclose(moved.shift, [1.6, 2.7])
    np.testing.assert_allclose(scaled.conformation, [0.6, -0.8])
    np.testing.assert_array_equal(scaled.rotation, start.rotation)
    assert float(scaled.contrast) == pytest.approx(1.3)
    assert float(pose.contrast) == 1
    assert float(every.contrast) == pytest.approx(1.8)


@pytest.mark.parametrize(
    "chart",
    [ConformationAlone(), ConformationContrast(), ConformationPose(), ConformationPoseContrast()],
)
def test_the_step_between_two_places_leads_from_one_to_the_other(chart):
    start = Latents(
        jnp.array([0.5, -1.0]), so3.exp(jnp.ones(3)), jnp.array([1.0, 2.0]), jnp.ones(())
    )
    step = jnp.arange(1.0, 1.0 + chart.count(2)) / 10
    found = chart.between(start, chart.moved(start, step))
    np.testing.assert_allclose(found, step, atol=1e-12)
