import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer.util import log_density

from cryojax_het.imaging.image import render
from cryojax_het.inference.joint import choose
from cryojax_het.inference.marginal_latents import LatentNodes
from cryojax_het.inference.posteriors.chosen_unknowns import ChosenUnknowns
from cryojax_het.inference.sample.model import joint_model, marginal_model, sites

from ..blobs import GRID, world

BOTH = ("volume.coefficients", "noise.power")
EVERY = ChosenUnknowns(True, True, True, True)


@eqx.filter_jit
def by_hand(joint, batch, free, scaled):
    model, total = joint.model_at(joint.values(free)), joint.log_prior(free)
    latents = joint.latents(scaled, joint.widths(batch, GRID), batch.latents)
    for i in range(len(batch.index)):
        own, start, optics = jax.tree.map(
            lambda x, i=i: x[i], (latents, batch.latents, batch.optics)
        )
        mean = render(model.volume, own, optics, GRID)
        total += model.noise.log_prob(batch.images[i], mean, GRID)
        total += model.prior.log_prob(own, start)
    return total


def test_density_of_the_numpyro_model_is_the_joint_one():
    joint, batch, _, scaled = world(jax.random.key(0), names=BOTH, unknowns=EVERY)
    model, free = joint_model(joint, GRID), joint.start()
    at = jax.jit(
        lambda free, v: log_density(model, (batch,), {}, {**sites(joint, free), "latents": v})[0]
    )
    other = {name: value + 0.1 for name, value in free.items()}
    moved = by_hand(joint, batch, other, scaled + 0.2) - by_hand(joint, batch, free, scaled)
    assert at(other, scaled + 0.2) - at(free, scaled) == pytest.approx(float(moved), rel=1e-8)


@eqx.filter_jit
def evidence(joint, batch, nodes):
    model = joint.prepared(joint.values(joint.start()), GRID)
    return nodes.evidence(joint, model, batch, joint.widths(batch, GRID), GRID)


def test_a_subsample_of_all_images_is_all_images():
    joint, batch, _, scaled = world(jax.random.key(1))
    free = joint.start()
    whole, part = joint_model(joint, GRID), joint_model(joint, GRID, subsample=3)
    at = jax.jit(
        lambda model, values: log_density(model, (batch,), {}, values)[0], static_argnums=0
    )
    every = at(whole, {**sites(joint, free), "latents": scaled})
    values = lambda rows: {**sites(joint, free), "latents": scaled[rows], "image": rows}
    two = [at(part, values(jnp.arange(3) + first)) for first in (0, 3)]
    assert np.mean(two) == pytest.approx(float(every), rel=1e-8)


def test_summing_over_nodes_is_integration():
    joint, batch, *_ = world(jax.random.key(2), images=2)
    fine, coarse = LatentNodes.even((501,), 6.0), LatentNodes.even((61,), 6.0)
    sums = [evidence(joint, batch, nodes) for nodes in (coarse, fine)]
    np.testing.assert_allclose(*sums, atol=1e-6)


def test_marginal_model_has_the_evidence_of_every_image():
    joint, batch, *_ = world(jax.random.key(2), images=3)
    nodes, free = LatentNodes.even((41,)), joint.start()
    wanted = evidence(joint, batch, nodes).sum()
    model = marginal_model(joint, GRID, nodes)
    found = jax.jit(lambda: log_density(model, (batch,), {}, sites(joint, free))[0])()
    assert found == pytest.approx(float(wanted + joint.log_prior(free)), rel=1e-10)


def test_images_drawn_from_the_model_scatter_as_the_noise():
    joint, batch, _, scaled = world(jax.random.key(3), images=40)
    values = {**sites(joint, joint.start()), "latents": scaled}
    model = numpyro.handlers.uncondition(
        numpyro.handlers.substitute(joint_model(joint, GRID), values)
    )

    def away():
        seen = numpyro.handlers.trace(numpyro.handlers.seed(model, 0)).get_trace(batch)["images"]
        return jax.vmap(GRID.to_image)(seen["value"] - seen["fn"].clean)

    away = jax.jit(away)()
    assert float(away.var()) == pytest.approx(4e-4, rel=0.06)


def test_errors_name_what_is_wrong():
    joint, *_ = world(jax.random.key(0))
    with pytest.raises(ValueError, match=r"no array 'volume\.voxels'"):
        choose(joint.model, "volume.voxels")
    with pytest.raises(ValueError, match=r"Without a prior: \['noise.power'\]"):
        type(joint)(joint.model, choose(joint.model, "noise.power"), {}, joint.unknowns)
