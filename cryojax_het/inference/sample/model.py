"""A joint density as a NumPyro model, with one likelihood: the noise's own `log_prob`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpyro
from jax.scipy.stats import norm
from jaxtyping import Array, Float
from numpyro import distributions as dist

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ...imaging.noise import AbstractNoise
from ..joint import Joint, Parameters, Widths
from ..marginal_latents import LatentNodes

LATENTS = "latents"  # the site of the unknowns of images
PLATE = "image"
NumpyroModel = Callable[[Batch], None]


class Images(dist.Distribution):
    """Noisy images `[m, y, x]` about noiseless ones, each with the noise of its optics group."""

    support = dist.constraints.independent(dist.constraints.complex, 2)  # pyright: ignore

    def __init__(self, noise: AbstractNoise, group, mean, grid: FourierGrid):
        self.noise, self.group, self.clean, self.grid = noise, group, mean, grid
        super().__init__(mean.shape[:1], mean.shape[1:])

    def log_prob(self, value):
        one = lambda image, mean, group: self.noise.of_group(group).log_prob(image, mean, self.grid)
        return jax.vmap(one)(value, self.clean, self.group)

    def sample(self, key, sample_shape=()):
        assert key is not None
        assert not sample_shape
        one = lambda key, mean, group: self.noise.of_group(group).sample(key, mean, self.grid)
        return jax.vmap(one)(jax.random.split(key, len(self.clean)), self.clean, self.group)


class Evidences(dist.Distribution):
    """Images whose latents are integrated over: `log_prob` is their evidence, at the `value` that
    they were made for."""

    support = Images.support

    def __init__(self, evidence: Float[Array, " m"], shape: tuple[int, ...]):
        self.evidence = evidence
        super().__init__(evidence.shape, shape)

    def log_prob(self, value):
        del value
        return self.evidence

    def sample(self, key, sample_shape=()):
        raise NotImplementedError("Images without latents are not drawn: sample the joint model.")


def joint_model(joint: Joint, grid: FourierGrid, subsample: int | None = None) -> NumpyroModel:
    """Parameters and latents of every image of a batch.

    Sites: `"free <path>"`, the free coordinates of each unknown array, and `"<path>"` its value;
    `"latents"` `[n, p]`, unknowns of the images in widths of their prior, rotations
    `R = exp([s ω]×) R₀` among them; `"images"`, observed. Latents are normal about the middle of
    their prior, and what their prior has beyond that is the factor `"prior"`, a constant for a
    `LocalPrior`.

    - `subsample`: images of the plate at a time; None: all.
    """

    def model(batch: Batch) -> None:
        prepared = joint.prepared(_parameters(joint), grid)
        widths = joint.widths(batch, grid)
        with numpyro.plate(PLATE, len(batch.index), subsample_size=subsample) as rows:
            taken, units = jax.tree.map(lambda x: x[rows], (batch, widths))
            v = numpyro.sample(LATENTS, dist.Normal(units.centre, 1.0).to_event(1))
            assert v is not None
            mean, log_prior = jax.vmap(lambda *one: _image(joint, prepared, one, grid))(
                taken.images, taken.latents, taken.optics, units, v
            )
            standard = norm.logpdf(v, units.centre).sum(axis=-1)
            numpyro.factor("prior", log_prior - standard)
            about = (prepared.noise, taken.optics.group, mean, grid)
            numpyro.sample("images", Images(*about), obs=taken.images)

    return model


def marginal_model(
    joint: Joint, grid: FourierGrid, nodes: LatentNodes, subsample: int | None = None
) -> NumpyroModel:
    """Parameters alone, the latents of every image summed over `nodes`: all unknowns are global,
    as subsampling kernels need it. Sites as of `joint_model`, without `"latents"`."""

    def model(batch: Batch) -> None:
        prepared = joint.prepared(_parameters(joint), grid)
        widths = joint.widths(batch, grid)
        with numpyro.plate(PLATE, len(batch.index), subsample_size=subsample) as rows:
            taken, units = jax.tree.map(lambda x: x[rows], (batch, widths))
            evidence = nodes.evidence(joint, prepared, taken, units, grid)
            likelihood = Evidences(evidence, taken.images.shape[1:])
            numpyro.sample("images", likelihood, obs=taken.images)

    return model


def sites(joint: Joint, free: Parameters) -> Parameters:
    """Values of the sites of parameters, from free coordinates by path."""
    return {_site(name): free[name] for name in joint.priors}


def parameters_of(joint: Joint, draws: Parameters) -> Parameters:
    """Free coordinates by path, from values of sites."""
    return {name: draws[_site(name)] for name in joint.priors}


def _parameters(joint: Joint) -> Parameters:
    free = {}
    for name, start in joint.start().items():
        prior = joint.priors[name]
        free[name] = numpyro.sample(_site(name), _Free(prior, start.shape))
    values = joint.values(free)
    for name, value in values.items():
        numpyro.deterministic(name, value)
    return values


class _Free(dist.Distribution):
    """Free coordinates of one array under its prior."""

    def __init__(self, prior, shape: tuple[int, ...]):
        self.prior, self.shape_of_one = prior, shape
        super().__init__((), shape)

    @property
    def support(self):
        return dist.constraints.independent(dist.constraints.real, len(self.shape_of_one))

    def log_prob(self, value):
        return self.prior.log_prob(value)

    def sample(self, key, sample_shape=()):
        return self.prior.sample(key, (*sample_shape, *self.shape_of_one))


def _image(joint: Joint, prepared, one, grid):
    image, start, optics, units, v = one
    units = Widths(units.scale, units.centre)
    objective = joint.image(prepared, (image, start, optics), units, grid)
    inside = joint.unknowns.inside(start, v * units.scale)
    return objective.rendered(v), jnp.where(inside, -objective.penalty(v), -jnp.inf)


def _site(name: str) -> str:
    return f"free {name}"
