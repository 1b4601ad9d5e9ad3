import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.image import Latents
from cryojax_het.inference.pose_prior import UniformPosePrior, log_haar


@pytest.mark.parametrize("angle", [1e-3, 0.02, 0.5, 2.0, 3.1])
def test_density_is_the_turn_that_a_step_of_the_vector_makes(angle):
    vector = angle * jnp.array([0.6, -0.48, 0.64])
    turn = lambda step: so3.log(so3.exp(vector + step) @ so3.exp(vector).T)
    volume = jnp.linalg.det(jax.jit(jax.jacfwd(turn))(jnp.full(3, 1e-9)))
    assert float(log_haar(vector)) == pytest.approx(
        float(jnp.log(volume / (8 * jnp.pi**2))), abs=1e-5
    )


def test_density_is_normalised():
    angle = jnp.linspace(0, jnp.pi, 2001)
    density = jnp.exp(jax.vmap(lambda a: log_haar(jnp.array([a, 0.0, 0.0])))(angle))
    total = jnp.trapezoid(4 * jnp.pi * angle**2 * density, angle)
    assert float(total) == pytest.approx(1, abs=1e-5)


def test_uniform_rotations_have_its_angles():
    turns = jax.jit(jax.vmap(lambda k: so3.log(so3.random(k))))(
        jax.random.split(jax.random.key(0), 20_000)
    )
    assert float(jnp.linalg.norm(turns, axis=1).mean()) == pytest.approx(
        np.pi / 2 + 2 / np.pi, abs=0.02
    )


def test_slope_is_finite_everywhere():
    slope = jax.jit(jax.grad(log_haar))
    for size in (0.0, 1e-4, 0.03, 0.0317, 1.0, 3.1):
        assert jnp.isfinite(slope(jnp.array([0.0, size, 0.0]))).all()


def test_prior_adds_shift_contrast_and_conformation():
    start = Latents(jnp.zeros(1), so3.exp(jnp.array([0.3, 0.0, 0.1])), jnp.zeros(2), jnp.ones(()))
    turned = so3.exp(jnp.array([0.0, 1.0, 0.0])) @ start.rotation
    end = Latents(jnp.array([0.5]), turned, jnp.array([1.0, 0.0]), jnp.asarray(1.2))
    prior = UniformPosePrior(2.0, 1.0, 0.1)
    found = prior.log_prob(end, start) - prior.log_prob(start, start)
    wanted = log_haar(jnp.array([0.0, 1.0, 0.0])) - log_haar(jnp.zeros(3)) - 0.125 - 0.125 - 2.0
    assert float(found) == pytest.approx(float(wanted), abs=1e-9)
