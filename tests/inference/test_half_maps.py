"""Plans of batches of two half-sets, and when it is time for a checkpoint."""

import numpy as np
import pytest

from cryojax_het.inference.half_maps import Clock, plan_batches

HALF = np.random.default_rng(0).integers(1, 3, 103)


@pytest.mark.parametrize("size", [1, 8, 200])
def test_every_row_is_in_one_batch_of_its_half(size):
    plan = plan_batches(HALF, size)
    rows = np.concatenate([batch.rows for batch in plan])
    np.testing.assert_array_equal(np.sort(rows), np.arange(103))
    for batch in plan:
        assert 0 < len(batch.rows) <= size
        assert (HALF[batch.rows] == batch.half + 1).all()


def test_the_disk_is_read_forwards():
    plan = plan_batches(HALF, 8)
    first = [batch.rows[0] for batch in plan]
    assert first == sorted(first)
    assert all((np.diff(batch.rows) > 0).all() for batch in plan)


def test_rows_of_no_half_are_left_out():
    plan = plan_batches(np.array([1, 0, 2, 1]), 8)
    assert sorted(np.concatenate([b.rows for b in plan]).tolist()) == [0, 2, 3]


def test_a_checkpoint_is_due_after_its_seconds_and_not_before():
    clock = Clock(1000.0)
    assert not clock.due()
    clock.last -= 1001
    assert clock.due()
    assert not clock.due()
    assert all(Clock(0.0).due() for _ in range(3))
