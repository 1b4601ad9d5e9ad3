"""A search that begins at low frequencies ends where one at all of them does."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging.image import Batch, render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.mode_prior import ModePrior
from cryojax_het.inference.posteriors.coarse_to_fine import CoarseToFine
from cryojax_het.inference.posteriors.gauss_newton import GaussNewton
from cryojax_het.inference.posteriors.unknowns import ConformationAlone
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.gaussian_mixture import GaussianMixture
from cryojax_het.volumes.normal_modes import NormalModes

COUNT = 8
PRIOR = ModePrior(jnp.array([3.0]), LocalPrior(0.05, 1.0, 1.0, 0.1))


def test_the_same_modes_as_of_a_search_at_full_detail(tiny):
    rng = np.random.default_rng(3)
    reference = GaussianMixture(
        positions=jnp.asarray(8 * rng.normal(size=(30, 3))),
        amplitudes=jnp.linspace(60.0, 140.0, 30),
        widths=jnp.array([5.0]),
        sizes=(30,),
    )
    modes = jnp.where(jnp.arange(30)[:, None] < 12, jnp.array([1.0, 0.4, 0.6]), 0.0)[None]
    volume = DisplacedMixture(reference, NormalModes(modes))
    truth = eqx.tree_at(
        lambda t: (t.conformation, t.contrast),
        tiny.latents(COUNT),
        (3.0 * jnp.asarray(rng.normal(size=(COUNT, 1))), jnp.ones(COUNT)),
    )
    noise, optics = ColouredNoise(jnp.full((2, 9), 20.0)), tiny.optics(COUNT)
    keys = jax.random.split(jax.random.key(2), COUNT)

    @jax.jit
    def drawn(latents, optics):
        def one(key, latent, o):
            clean = render(volume, latent, o, tiny.grid)
            return noise.of_group(o.group).sample(key, clean, tiny.grid)

        return jax.vmap(one)(keys, latents, optics)

    given = eqx.tree_at(lambda t: t.conformation, truth, jnp.zeros((COUNT, 1)))
    batch = Batch(drawn(truth, optics), optics, given, jnp.arange(COUNT), jnp.ones(COUNT))
    infer = eqx.filter_jit(lambda method: method.modes(volume, noise, PRIOR, batch, tiny.grid))
    whole = infer(GaussNewton(ConformationAlone(), starts=6, steps=20))
    quick = infer(CoarseToFine(GaussNewton(ConformationAlone(), 6, 20), size=8, kept=3, steps=12))
    assert quick.log_evidence.shape == (COUNT, 3)
    best = lambda found: np.asarray(found.latents.conformation[:, 0])
    np.testing.assert_allclose(best(quick), best(whole), atol=1e-2)
    np.testing.assert_allclose(quick.log_evidence[:, 0], whole.log_evidence[:, 0], atol=1e-3)
