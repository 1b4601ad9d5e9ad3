"""Checkpoints: the tree comes back leaf by leaf, and nothing half-written is ever found."""

import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from cryojax_het.results.checkpoint import (
    checkpoint_note,
    checkpoint_step,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)


class Model(eqx.Module):
    mean: Array
    scale: Array


class Swapped(eqx.Module):
    scale: Array
    mean: Array


def tree():
    return {
        "model": Model(jnp.arange(6.0).reshape(2, 3), jnp.ones((2, 3), jnp.complex64)),
        "key": jax.random.key(3),
        "half": jnp.ones((2, 2), jnp.bfloat16) * 1.5,
        "host": np.arange(3, dtype=np.int64),
        "count": 7,
        "rate": 0.25,
        "scalar": jnp.asarray(2.0),
        "function": jnp.tanh,
    }


def blank(value):
    if eqx.is_array(value):
        return value if jnp.issubdtype(value.dtype, jax.dtypes.prng_key) else value * 0
    return type(value)(0) if isinstance(value, int | float) else value


def test_every_kind_of_leaf_comes_back(tmp_path):
    path = save_checkpoint(tmp_path, 10, tree(), {"pass": 2})
    assert path.name == "000010"
    template = jax.tree.map(blank, tree()) | {"key": jax.random.key(0)}
    loaded = load_checkpoint(path, template)
    np.testing.assert_array_equal(
        jax.random.key_data(loaded["key"]), jax.random.key_data(jax.random.key(3))
    )
    assert loaded["count"] == 7
    assert loaded["rate"] == 0.25
    assert isinstance(loaded["host"], np.ndarray)
    for name in ("model", "half", "host", "scalar"):
        for old, new in zip(
            jax.tree.leaves(tree()[name]), jax.tree.leaves(loaded[name]), strict=True
        ):
            assert old.dtype == new.dtype
            np.testing.assert_array_equal(old, new)
    assert checkpoint_note(path) == {"pass": 2}
    assert checkpoint_step(path) == 10


def test_leaves_are_found_by_name_not_by_position(tmp_path):
    path = save_checkpoint(tmp_path, 0, Model(jnp.ones(3), jnp.zeros(3)))
    loaded = load_checkpoint(path, Swapped(jnp.zeros(3), jnp.zeros(3)))
    np.testing.assert_array_equal(loaded.mean, 1)


def test_sharded_arrays_keep_their_sharding(tmp_path):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    value = jax.device_put(jnp.arange(8.0), sharding)
    loaded = load_checkpoint(save_checkpoint(tmp_path, 1, value), value * 0)
    assert loaded.sharding == sharding
    np.testing.assert_array_equal(loaded, value)


def test_arrays_that_are_bound_to_no_device_stay_free(tmp_path):
    """They meet arrays on two of four devices, as they did before."""
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    spread = jax.device_put(
        jnp.arange(8.0), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    )
    tree = {"free": jnp.ones(8), "spread": spread}
    add = jax.jit(lambda tree: tree["free"] + tree["spread"])
    loaded = load_checkpoint(save_checkpoint(tmp_path, 1, tree), tree)
    np.testing.assert_array_equal(add(loaded), add(tree))


def test_mismatches_are_named(tmp_path):
    path = save_checkpoint(tmp_path, 1, {"a": jnp.zeros(3), "b": jnp.zeros(2)})
    with pytest.raises(ValueError, match=r"\['a'\]` as float64 \[3\], the run needs float64 \[4\]"):
        load_checkpoint(path, {"a": jnp.zeros(4), "b": jnp.zeros(2)})
    with pytest.raises(ValueError, match="needs float32"):
        load_checkpoint(path, {"a": jnp.zeros(3, jnp.float32), "b": jnp.zeros(2)})
    with pytest.raises(ValueError, match=r"lacks \['c'\] and has \['b'\]"):
        load_checkpoint(path, {"a": jnp.zeros(3), "c": jnp.zeros(2)})


def test_only_the_newest_are_kept(tmp_path):
    assert latest_checkpoint(tmp_path / "absent") is None
    for step in (1, 2, 3, 1_000_000):
        save_checkpoint(tmp_path, step, jnp.asarray(step), keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000003", "1000000"]
    assert latest_checkpoint(tmp_path).name == "1000000"
    save_checkpoint(tmp_path, 1_000_000, jnp.asarray(5))
    assert load_checkpoint(latest_checkpoint(tmp_path), jnp.asarray(0)) == 5


def test_a_failure_in_mid_save_leaves_the_last_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, jnp.zeros(3))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk is full"):
        save_checkpoint(tmp_path, 2, jnp.zeros(3))
    assert [p.name for p in tmp_path.iterdir()] == ["000001"]


def test_what_a_kill_left_is_not_found_and_goes_with_the_next(tmp_path):
    (tmp_path / ".000009.abcd.part").mkdir()
    assert latest_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 1, jnp.zeros(1))
    assert [p.name for p in tmp_path.iterdir()] == ["000001"]
