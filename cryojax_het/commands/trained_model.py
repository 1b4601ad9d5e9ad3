"""The networks of a trained mixture: what moves it, and what reads the latent off an image."""

import abc
from collections.abc import Mapping
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..inference.encoders.convolutional import convolutional_encoder
from ..inference.encoders.encoder import AbstractEncoder
from ..inference.encoders.score_gradient import score_gradient_encoder
from ..structures.partition import residue_numbers
from ..volumes.anchors import Anchors, anchor_centres, anchor_weights
from ..volumes.atom_codes import PositionalEncoding
from ..volumes.displacement import AbstractDisplacement
from ..volumes.gaussian_mixture import GaussianMixture
from ..volumes.mixture import AbstractMixture
from ..volumes.mode_regions import mode_regions
from ..volumes.neural_amplitudes import neural_amplitudes
from ..volumes.neural_displacement import neural_displacement
from ..volumes.neural_motions import neural_motions
from ..volumes.precision import single
from ..volumes.rigid_segments import RigidSegments
from ..volumes.scaled_modes import ScaledModes
from ..volumes.segments import even_segments
from .mixture_reference import Reference
from .mode_basis import basis_of
from .trained_settings import TrainedSettings

_TURN, _SHIFT = 0.1, 1.0  # radians and Å of a network's output of 1
_WAVES = 6  # octaves of the places that a network is told
_ATOMS_PER_BODY = 3
_PULLED = 64  # most points at which the score is gathered


class AbstractMover(abc.ABC):
    """A kind of displacement."""

    @abc.abstractmethod
    def displacement(
        self, key: PRNGKeyArray, rest: Reference, settings: TrainedSettings
    ) -> AbstractDisplacement:
        """One at rest."""

    @abc.abstractmethod
    def trained(self, displacement: Any) -> list[Any]:
        """The parts of it that training moves."""


@final
class ByAnchors(AbstractMover):
    """Anchors in space."""

    def displacement(self, key, rest, settings):
        centres, reach = anchor_places(rest.mixture, settings.bodies, settings.reach)
        units = (_TURN, _SHIFT)
        count, layers = len(centres), settings.decoder_layers
        motion = neural_motions(key, count, settings.latent, layers, units)
        return Anchors(centres, reach, single(motion))

    def trained(self, displacement):
        return [displacement.motion.parameters]


@final
class ByNetwork(AbstractMover):
    """Every Gaussian by its place."""

    def displacement(self, key, rest, settings):
        places = np.asarray(rest.mixture.positions)
        code = PositionalEncoding(float(2 * np.linalg.norm(places, axis=1).max()), _WAVES)
        layers, scale = settings.decoder_layers, (_SHIFT,) * 3
        return neural_displacement(
            key, code, rest.mixture.positions, settings.latent, layers, scale
        )

    def trained(self, displacement):
        return [displacement.parameters]


@final
class BySegments(AbstractMover):
    """Stretches of the chain."""

    def displacement(self, key, rest, settings):
        count = _bodies(rest.mixture, settings.bodies)
        layers, units = settings.decoder_layers, (_TURN, _SHIFT)
        motion = neural_motions(key, count, settings.latent, layers, units)
        return RigidSegments(even_segments(places_in_chain(rest), count), single(motion))

    def trained(self, displacement):
        segments = displacement.segments
        return [displacement.motion.parameters, segments.centre, segments.log_extent]


@final
class ByModes(AbstractMover):
    """The softest collective modes, their widths learned."""

    def displacement(self, key, rest, settings):
        del key
        basis = basis_of(settings, rest, settings.latent, None)
        width = np.log(settings.softest / np.sqrt(basis.eigenvalues))
        real = lambda values: jnp.asarray(values, jnp.float32)
        return ScaledModes(real(basis.vectors), real(width))

    def trained(self, displacement):
        return [displacement.log_width]


@final
class ByRegions(AbstractMover):
    """Regions in space that follow the softest collective modes as rigid bodies."""

    def displacement(self, key, rest, settings):
        del key
        basis = basis_of(settings, rest, settings.latent, None)
        width = settings.softest / np.sqrt(basis.eigenvalues)
        positions = np.asarray(rest.mixture.positions, np.float64)
        centres = anchor_centres(positions, _bodies(rest.mixture, settings.bodies))
        near = np.linalg.norm(positions[:, None] - centres, axis=2).argmin(axis=1)
        region = np.unique(near, return_inverse=True)[1].astype(np.int64)
        return single(mode_regions(positions, region, basis.vectors * width[:, None, None]))

    def trained(self, displacement):
        return [displacement.motion.turns, displacement.motion.shifts]


MOVERS: Mapping[str, AbstractMover] = {
    "modes": ByModes(),
    "regions": ByRegions(),
    "anchors": ByAnchors(),
    "network": ByNetwork(),
    "segments": BySegments(),
}


class AbstractOccupancy(abc.ABC):
    """What becomes of the amplitudes of moved Gaussians."""

    @abc.abstractmethod
    def beside(
        self,
        key: PRNGKeyArray,
        displacement: AbstractDisplacement,
        rest: Reference,
        settings: TrainedSettings,
    ) -> AbstractDisplacement:
        """The displacement, with what changes amplitudes."""

    @abc.abstractmethod
    def moved(self, displacement: Any) -> Any:
        """The displacement alone."""

    @abc.abstractmethod
    def trained(self, displacement: Any) -> list[Any]:
        """The parts of it that training moves, those of the displacement left out."""


@final
class Fixed(AbstractOccupancy):
    """They stay."""

    def beside(self, key, displacement, rest, settings):
        return displacement

    def moved(self, displacement):
        return displacement

    def trained(self, displacement):
        return []


@final
class Learned(AbstractOccupancy):
    """By a network at anchors."""

    def beside(self, key, displacement, rest, settings):
        centres, reach = anchor_places(rest.mixture, settings.bodies, settings.reach)
        layers = settings.decoder_layers
        return single(neural_amplitudes(key, displacement, centres, reach, layers))

    def moved(self, displacement):
        return displacement.displacement

    def trained(self, displacement):
        return [displacement.parameters]


OCCUPANCIES: Mapping[str, AbstractOccupancy] = {"fixed": Fixed(), "learned": Learned()}


class AbstractReader(abc.ABC):
    """A kind of encoder."""

    @abc.abstractmethod
    def encoder(
        self, key: PRNGKeyArray, mixture: GaussianMixture, settings: TrainedSettings, box: int
    ) -> AbstractEncoder:
        """One that is not trained."""


@final
class OfPixels(AbstractReader):
    """Convolutions."""

    def encoder(self, key, mixture, settings, box):
        return convolutional_encoder(
            key, box, settings.latent, layers=settings.encoder_layers, dtype=jnp.float32
        )


@final
class OfScore(AbstractReader):
    """The score's gradient, gathered at anchors; its units are still to be measured."""

    def encoder(self, key, mixture, settings, box):
        count = max(settings.bodies, min(_PULLED, len(mixture.positions) // _ATOMS_PER_BODY))
        centres, reach = anchor_places(mixture, min(count, _PULLED), None)
        weights = anchor_weights(mixture.positions, centres, reach)
        contrast = (jnp.float32(1), jnp.float32(settings.contrast))
        layers = settings.encoder_layers
        return score_gradient_encoder(key, mixture, weights, settings.latent, contrast, layers)


READERS: Mapping[str, AbstractReader] = {"pixels": OfPixels(), "score": OfScore()}


def places_in_chain(rest: Reference) -> Float[Array, " j"]:
    """Of each Gaussian, the mean number of the residues that follow it."""
    count = len(rest.mixture.positions)
    members = np.bincount(rest.follows, minlength=count)
    total = np.bincount(rest.follows, residue_numbers(rest.atoms), count)
    return jnp.asarray(total / np.maximum(members, 1), jnp.float32)


def anchor_places(
    mixture: AbstractMixture, count: int, reach: float | None
) -> tuple[Float[Array, "a 3"], Float[Array, ""]]:
    """Anchors among the Gaussians, and how far each reaches."""
    from scipy.spatial import KDTree

    places = np.asarray(mixture.positions, np.float64)
    centres = anchor_centres(places, _bodies(mixture, count))
    if reach is None:
        nearest = KDTree(centres).query(centres, 2)[0][:, 1] if len(centres) > 1 else np.ones(1)
        reach = float(np.mean(nearest) * 2 / 3)
    return jnp.asarray(centres, jnp.float32), jnp.float32(reach)


def _bodies(mixture, wanted):
    return max(1, min(wanted, len(mixture.positions) // _ATOMS_PER_BODY))
