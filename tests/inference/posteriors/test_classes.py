"""Responsibilities and contrast of classes against sums in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from cryojax_het.imaging.image import render
from cryojax_het.imaging.rotation import exp
from cryojax_het.inference.class_contrast import GivenContrast
from cryojax_het.inference.class_prior import ClassPrior
from cryojax_het.inference.posteriors.classes import ClassesAtPose, ClassesNearPose
from cryojax_het.inference.prior import LocalPrior

from ..classes_world import two_shapes

KEY = jax.random.key(0)
POPULATION = np.array([0.7, 0.3])
LOCAL = LocalPrior(0.05, 2.0, 1.0, 0.2)
PRIOR = ClassPrior(jnp.asarray(POPULATION), LOCAL)


@pytest.fixture(scope="module")
def case():
    return two_shapes(12, 0.05, contrast=0.2)


def infer(posterior, case, prior=PRIOR):
    found = lambda b: posterior.infer(KEY, case.truth, case.noise, prior, b, case.grid)
    return eqx.filter_jit(found)(case.batch)


def log_likelihood(case, contrasts):
    """`log p(y_i | V_k, s)`, the noise's own density of each residual, for each of the contrasts:
    `[s, 12, 2]`."""

    def one(image, latents, optics, s, k):
        latent = eqx.tree_at(lambda t: (t.conformation, t.contrast), latents, (jnp.eye(2)[k], s))
        mean = render(case.truth, latent, optics, case.grid)
        return case.noise.of_group(optics.group).log_prob(image, mean, case.grid)

    def at(s):
        images = (case.batch.images, case.batch.latents, case.batch.optics)
        every = lambda k: jax.vmap(lambda *image: one(*image, s, k))(*images)
        return jax.vmap(every, out_axes=1)(jnp.arange(2))

    return np.asarray(jax.jit(lambda all_: jax.lax.map(at, all_))(jnp.asarray(contrasts)))


def test_responsibilities_are_the_softmax_of_log_likelihoods(case):
    belief = infer(ClassesAtPose(GivenContrast()), case)
    joint = np.log(POPULATION) + log_likelihood(case, np.ones(1))[0]
    total = logsumexp(joint, axis=1)
    np.testing.assert_allclose(belief.probability(), np.exp(joint - total[:, None]), atol=1e-8)
    np.testing.assert_allclose(belief.log_likelihood, total, rtol=1e-10)
    chosen = belief.mean().conformation
    np.testing.assert_array_equal(np.argmax(chosen, axis=1), np.argmax(joint, axis=1))


def test_the_common_contrast_is_the_most_probable_with_the_class_summed_over(case):
    belief = infer(ClassesAtPose(), case)
    tried = np.linspace(0.3, 1.7, 141)
    joint = logsumexp(log_likelihood(case, tried) + np.log(POPULATION), axis=2)
    joint = joint + norm.logpdf(tried, 1, 0.2)[:, None]
    best = tried[np.argmax(joint, axis=0)]
    np.testing.assert_allclose(belief.latents.contrast[:, 0], best, atol=0.006)
    assert np.all(belief.log_likelihood >= joint.max(axis=0) - 1e-6)


def test_below_sharpness_1_classes_are_told_apart_less(case):
    joint = log_likelihood(case, np.ones(1))[0]
    belief = infer(ClassesAtPose(GivenContrast(), jnp.asarray(0.3)), case)
    softened = np.log(POPULATION) + 0.3 * joint
    expected = np.exp(softened - logsumexp(softened, axis=1)[:, None])
    np.testing.assert_allclose(belief.probability(), expected, atol=1e-8)


def test_a_dropped_class_gets_nothing(case):
    for posterior in (ClassesAtPose(), ClassesNearPose(steps=1)):
        belief = infer(posterior, case, ClassPrior(jnp.asarray([1.0, 0.0]), LOCAL))
        np.testing.assert_allclose(belief.probability(), [[1.0, 0.0]] * 12, atol=1e-12)


def test_poses_are_refined_under_the_leading_classes():
    """From poses that are off as far as from the true ones: what is left is the images' noise."""
    case = two_shapes(12, 20.0)
    true = case.batch.latents.rotation
    moved = jax.vmap(exp)(0.05 * jax.random.normal(KEY, (12, 3))) @ true
    found = eqx.filter_jit(
        lambda b: ClassesNearPose().infer(KEY, case.truth, case.noise, PRIOR, b, case.grid)
    )
    off = lambda r: np.sqrt(np.mean((np.asarray(r) - np.asarray(true)) ** 2))
    beliefs = [
        found(eqx.tree_at(lambda b: b.latents.rotation, case.batch, start))
        for start in (moved, true)
    ]
    errors = [off(belief.mean().rotation) for belief in beliefs]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
    assert errors[0] < 0.25 * off(moved)
    belief = beliefs[0]
    assert belief.log_weight.shape == (12, 2, 2)
    np.testing.assert_allclose(jnp.exp(belief.log_weight).sum(axis=(1, 2)), 1)
    assert np.mean(np.argmax(belief.probability(), axis=1) == case.label) == 1
