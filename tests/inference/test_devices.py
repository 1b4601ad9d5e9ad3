"""Placement on four virtual devices: what is sharded, what is whole, and back."""

import jax
import numpy as np
import pytest

from cryojax_het.inference.devices import (
    data_mesh,
    own_part,
    place_batch,
    shard_like,
    to_host,
    use_cpu_devices,
)

ROWS = {"a": np.arange(24.0).reshape(8, 3), "b": np.arange(8)}


@pytest.fixture(scope="module")
def mesh():
    if jax.device_count() != 4:
        pytest.skip("needs the four virtual devices of conftest.py")
    return data_mesh()


def test_a_batch_is_cut_into_equal_parts_in_order(mesh):
    placed = place_batch(mesh)(ROWS)
    parts = sorted(placed["a"].addressable_shards, key=lambda s: s.index[0].start or 0)
    assert len({part.device for part in parts}) == 4
    for number, part in enumerate(parts):
        np.testing.assert_array_equal(part.data, ROWS["a"][2 * number : 2 * number + 2])
    jax.tree.map(np.testing.assert_array_equal, to_host(placed), ROWS)


def test_a_table_per_device_comes_back_as_it_went(mesh):
    tables = np.arange(4 * 6.0).reshape(4, 6)
    placed = shard_like(mesh, tables)
    assert placed.sharding.spec == jax.sharding.PartitionSpec("data")
    np.testing.assert_array_equal(to_host(placed), tables)


def test_one_process_owns_all_rows():
    np.testing.assert_array_equal(own_part(np.arange(6)), np.arange(6))


def test_asking_for_devices_after_the_start_changes_nothing():
    before = jax.device_count()
    use_cpu_devices(before + 3)
    assert jax.device_count() == before
