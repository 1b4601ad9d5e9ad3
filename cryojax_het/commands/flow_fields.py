"""The kinds of fields: how each is made over a map, and what holds it."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from ..inference.deformation.coefficients import SmallCoefficients
from ..inference.deformation.folding import unfolded
from ..inference.deformation.rigidity import Rigidity
from ..inference.model import Model
from ..inference.training.conformation_energy import AbstractConformationEnergy, Together
from ..volumes.displaced import DisplacedMixture
from ..volumes.flow import AbstractFlow
from ..volumes.latent_modes import NetworkModes, network_modes
from ..volumes.mesh_flow import mesh_flow
from ..volumes.precision import single
from ..volumes.tetrahedral_mesh import edge_for, lattice_mesh
from ..volumes.zernike_basis import ZernikeOrder
from ..volumes.zernike_flow import ZernikeRegions, zernike_flow, zernike_regions
from .flow_settings import FlowSettings

_FOLDING = 1e3  # nats of a cell, or a point, without volume, over 0.02
_WATCHED = 512  # points at which a field of Zernike functions must not fold


@final
@dataclass(frozen=True)
class Region:
    """Where a field must reach: points (Å), the map's density there, and how far apart voxels
    are, Å."""

    points: Float[np.ndarray, "j 3"]
    density: Float[np.ndarray, " j"]
    spacing: float


class AbstractField(abc.ABC):
    """A kind of field."""

    @abc.abstractmethod
    def flow(self, key: PRNGKeyArray, region: Region, settings: Any) -> AbstractFlow:
        """One at rest, over and at the points of `region`."""

    @abc.abstractmethod
    def energy(self, region: Region, settings: Any) -> AbstractConformationEnergy | None:
        """What holds it over `region` beside the images; None: nothing."""


@final
class ByMesh(AbstractField):
    """A tetrahedral mesh."""

    def flow(self, key, region, settings):
        points = region.points
        mesh = lattice_mesh(points, edge_for(points, region.spacing, settings.cells))
        motion = _network(key, len(mesh.vertices), region, settings)
        return single(mesh_flow(mesh, points, region.density, motion))

    def energy(self, region, settings):
        del region
        if settings.rigidity == 0:
            return None
        strain = settings.strain / np.sqrt(settings.rigidity)
        return Rigidity(jnp.float32(strain), jnp.float32(_FOLDING))


@final
class ByZernike(AbstractField):
    """Zernike functions of one ball or several."""

    def flow(self, key, region, settings):
        regions = _balls(region, settings)
        motion = _network(key, regions.size, region, settings)
        return single(zernike_flow(regions, region.points, motion))

    def energy(self, region, settings):
        small = SmallCoefficients(jnp.float32(settings.smallness))
        rows = np.random.default_rng(0).permutation(len(region.points))[:_WATCHED]
        points = jnp.asarray(region.points[rows], jnp.float32)
        return Together((small, unfolded(single(_balls(region, settings)), points, _FOLDING)))


def flowing(model: Model) -> DisplacedMixture:
    """The volume, which is moved by a flow."""
    assert isinstance(model.volume, DisplacedMixture)
    assert isinstance(model.volume.displacement, AbstractFlow)
    return model.volume


def _balls(region: Region, settings: Any) -> ZernikeRegions:
    """Of the Zernike functions that `settings` ask for."""
    return zernike_regions(region.points, ZernikeOrder(*settings.order), settings.regions)


def _network(key: PRNGKeyArray, count: int, region: Region, settings: FlowSettings) -> NetworkModes:
    """A voxel to an output of 1."""
    layers, unit = settings.decoder_layers, region.spacing
    return network_modes(key, count, settings.latent, layers, unit)


FIELDS: Mapping[str, AbstractField] = {"flex": ByMesh(), "zernike": ByZernike()}
