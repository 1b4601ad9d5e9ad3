"""What is kept of each image's classes, where some images are left out."""

import numpy as np
import pytest

from cryojax_het.inference.class_rounds import ClassTable
from cryojax_het.particles.loader import HostLatents


def test_images_that_are_left_out_count_for_nothing():
    turn, none = np.tile(np.eye(3, dtype=np.float32), (3, 1, 1)), np.zeros((3, 2), np.float32)
    table = ClassTable.empty(HostLatents.of_poses(turn, none), 2)
    table.probability[:2] = [[0.25, 0.75], [1.0, 0.0]]
    table.log_likelihood[:2] = [-3.0, -5.0]
    assert table.seen.tolist() == [True, True, False]
    np.testing.assert_allclose(table.shares(), [0.625, 0.375])
    assert table.mean_log_likelihood() == -4.0
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / 2
    assert table.entropy() == pytest.approx(entropy)
