"""Maps at latents by deformed back-projection: all images, each bent to the conformation asked for
by the displacement that the run found."""

from dataclasses import dataclass
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..analysis.mask import spherical_mask
from ..imaging.noise import ColouredNoise
from ..inference.devices import data_mesh
from ..inference.updates.deformed_map import DeformedMap
from ..particles.loader import HostLatents
from ..results.flow_store import load_flow
from ..results.mixture_store import load_mixture
from ..volumes.carried import carried
from ..volumes.displaced import DisplacedMixture
from ..volumes.flow import AbstractFlow, frozen
from ..volumes.precision import single
from ..volumes.relative import Relative
from ..volumes.voxel_cloud import voxels_within
from .deformed_maps import DeformedImages
from .fit import FLOWS
from .reconstruct_data import load_data
from .volume_makers_base import AbstractMaker
from .volume_run import FittedRun
from .volume_tables import check_images

_REACH, _EDGE = 1.5, 3.0  # pixels: beyond the Gaussians, the support's core and its soft edge
_ROUND = 1024  # voxels
_FAINTEST = 1e-6  # of the support's edge, so that rounding loses none of it


@final
@dataclass(frozen=True)
class DeformedMaker(AbstractMaker):
    """The reference moved to a latent, and solved for from all images."""

    run: FittedRun
    images: DeformedImages
    mixture: DisplacedMixture

    @classmethod
    def of_run(cls, run):
        data = load_data(run.settings)
        check_images(run, data, run.noise(), run.mask())
        table = run.folder.latents()
        names = ("conformation", "rotation", "shift", "contrast")
        latents = HostLatents(*(np.array(table.read(name), np.float32) for name in names))
        images = DeformedImages(run.settings, data, latents, data.size, data_mesh())
        return cls(run, images, _moved(run))

    def volume(self, wanted):
        latent = jnp.asarray(wanted.target.latent, jnp.float32)
        places = np.asarray(self.mixture.at(latent).positions, np.float64)
        spacing = self.run.voxel_size[0]
        window = support_around(places, self.images.box, spacing)
        own = Relative(self.mixture.displacement, self.mixture.reference.positions, latent)
        flat, positions = voxels_within(window, spacing)
        model = DeformedMap(
            jnp.asarray(flat),
            jnp.asarray(positions, jnp.float32),
            jnp.float32(spacing),
            single(carried(own, places, positions, _spacing(places))),
            self.images.box,
        )
        noise = ColouredNoise(jnp.asarray(self.run.noise(), jnp.float32))
        return self.images.solved(model, noise, self.run.half(), window).whole


def _moved(run: FittedRun) -> DisplacedMixture:
    """What the run moves: Gaussians, or the voxels of its reference."""
    if run.folder.config().get("volume") not in FLOWS:
        return load_mixture(run.folder).volume
    volume = load_flow(run.folder)
    flow, places = volume.displacement, np.asarray(volume.reference.positions, np.float64)
    assert isinstance(flow, AbstractFlow)
    return DisplacedMixture(volume.reference, frozen(flow, places))


def support_around(
    places: Float[np.ndarray, "j 3"], size: int, spacing: float
) -> Float[np.ndarray, "n n n"]:
    """1 near any of these places (Å), falling to 0 over a few voxels `[z, y, x]`."""
    from scipy.spatial import KDTree

    axis = (np.arange(size) - size // 2) * spacing
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")[::-1], axis=-1)
    reach = max(_REACH, _spacing(places) / spacing)
    beyond = np.asarray(KDTree(places).query(centres)[0]) / spacing - reach
    # The transform's corners are of no image.
    inside = spherical_mask(size, size / 2 - 2, 2.0)
    # As many voxels at every latent as a multiple of `_ROUND`, so that few programs are compiled.
    order = np.sort(np.where(inside > 0, beyond, np.inf).ravel())
    wanted = min(-(-int(np.sum(order < _EDGE)) // _ROUND) * _ROUND, int(np.sum(inside > 0)))
    edge = np.nextafter(order[wanted - 1], np.inf)
    near = 0.5 * (1 + np.cos(np.pi * np.clip(beyond / edge, 0, 1)))
    return inside * np.where(beyond < edge, np.maximum(near, _FAINTEST), 0)


def _spacing(places) -> float:
    """Mean distance of a Gaussian to its eight nearest others, Å."""
    from scipy.spatial import KDTree

    count = min(9, len(places))
    return float(np.mean(np.asarray(KDTree(places).query(places, count)[0])[:, 1:]))
