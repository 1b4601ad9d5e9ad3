import numpy as np
import pytest

from cryojax_het.inference.chain_gates import Gate, energy_information, failures


def walk(seed, share, shape=(4, 2000)):
    """An autoregressive series of standard normals, `share` of each kept."""
    rng = np.random.default_rng(seed)
    found = np.empty(shape)
    found[:, 0] = rng.normal(size=shape[0])
    for t in range(1, shape[1]):
        found[:, t] = share * found[:, t - 1] + np.sqrt(1 - share**2) * rng.normal(size=shape[0])
    return found


def test_energy_information_of_an_autoregression():
    """`E (x_t - x_{t-1})² = 2 (1 - share)` of its variance."""
    for share in (0.0, 0.9):
        found = energy_information(walk(0, share, (2, 40_000)))
        np.testing.assert_allclose(found, 2 * (1 - share), rtol=0.1)


def test_good_chains_pass():
    shared = {"noise": walk(1, 0.2)[..., None]}
    images = {"latents": np.stack([walk(s, 0.5) for s in (2, 3)], axis=-1)[..., None]}
    assert failures(shared, images, energy=walk(4, 0.5)) == []


def test_each_fault_is_named():
    apart = walk(1, 0.2)[..., None] + np.arange(4)[:, None, None]
    slow = walk(2, 0.995)[..., None]
    images = {"latents": np.repeat(apart[:, :, None], 3, axis=2)}
    told = failures({"noise": apart}, images, energy=walk(3, 0.99), divergent=0.01)
    assert any(one.startswith("R-hat of noise is") for one in told)
    assert any("latents, median over images" in one for one in told)
    assert any(one.startswith("E-BFMI") for one in told)
    assert "1 % of trajectories diverged after warm-up." in told
    assert any("is worth" in one for one in failures({"slow": slow}, {}, gate=Gate(r_hat=2.0)))


def test_a_gate_can_be_narrower():
    assert failures({"a": walk(1, 0.2)}, {}, gate=Gate(size=1e5)) != []
    with pytest.raises(ValueError, match="at least 4 draws"):
        failures({"a": np.zeros((4, 2))}, {})
