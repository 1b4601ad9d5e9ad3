"""A deformed map in a run folder: `model/flow.npz` and `.json`, and its reference as a volume.

Arrays are found by the name of their field, never by position. A new kind of flow is one more entry
of `FLOWS`.
"""

import abc
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..volumes.displaced import DisplacedMixture
from ..volumes.flow import AbstractFlow
from ..volumes.latent_modes import AbstractLatentModes, NetworkModes, network_modes
from ..volumes.mesh_flow import MeshFlow
from ..volumes.precision import single
from ..volumes.tetrahedral_mesh import located, mesh_of
from ..volumes.voxel_cloud import VoxelCloud
from ..volumes.zernike_basis import ZernikeOrder
from ..volumes.zernike_flow import ZernikeRegions, zernike_flow
from .model_files import model_about, model_arrays, save_model
from .network_weights import any_key, filled, weight_arrays
from .run import RunFolder

FORMAT = 1
_NAME, _KIND = "flow", "a deformed map"


class AbstractStoredFlow(abc.ABC):
    """How one kind of flow is kept, but for its motion and its points."""

    @abc.abstractmethod
    def arrays(self, flow: Any) -> dict[str, np.ndarray]:
        """Arrays, by name."""

    @abc.abstractmethod
    def about(self, flow: Any) -> dict[str, Any]:
        """All else, as JSON."""

    @abc.abstractmethod
    def restored(
        self,
        arrays: Mapping[str, np.ndarray],
        about: Mapping[str, Any],
        motion: AbstractLatentModes,
        points: Float[np.ndarray, "j 3"],
    ) -> AbstractFlow:
        """From what `arrays` and `about` gave, at `points`, Å."""


@final
class OfMesh(AbstractStoredFlow):
    """Vertices, cells and their stiffness."""

    def arrays(self, flow):
        mesh = flow.mesh
        parts = {"vertices": mesh.vertices, "cells": mesh.cells, "stiffness": flow.stiffness}
        return {name: np.asarray(part) for name, part in parts.items()}

    def about(self, flow):
        return {}

    def restored(self, arrays, about, motion, points):
        mesh = mesh_of(arrays["vertices"].astype(np.float64), arrays["cells"])
        found = located(mesh, points)
        cell, weights = jnp.asarray(found.cell), jnp.asarray(found.weights)
        return MeshFlow(mesh, jnp.asarray(arrays["stiffness"]), cell, weights, motion)


@final
class OfZernike(AbstractStoredFlow):
    """The balls."""

    def arrays(self, flow):
        regions = flow.regions
        parts = {name: getattr(regions, name) for name in ("centres", "radii", "reach")}
        return {name: np.asarray(part) for name, part in parts.items()}

    def about(self, flow):
        return {"order": list(flow.regions.order)}

    def restored(self, arrays, about, motion, points):
        order = ZernikeOrder(*about["order"])
        centres, radii, reach = (jnp.asarray(arrays[n]) for n in ("centres", "radii", "reach"))
        return zernike_flow(ZernikeRegions(centres, radii, reach, order), points, motion)


FLOWS: Mapping[str, AbstractStoredFlow] = {"MeshFlow": OfMesh(), "ZernikeFlow": OfZernike()}


def save_flow(folder: RunFolder, volume: DisplacedMixture) -> None:
    """Write both files, each whole or not at all. `TypeError` for a displacement, a motion or a
    reference of a kind that is not kept."""
    flow, cloud = volume.displacement, volume.reference
    kind = type(flow).__name__
    if kind not in FLOWS or not isinstance(flow, AbstractFlow) or not isinstance(cloud, VoxelCloud):
        raise TypeError(f"A {type(cloud).__name__} moved by {kind} cannot be kept.")
    motion = flow.motion
    if not isinstance(motion, NetworkModes):
        raise TypeError(f"Motion by {type(motion).__name__} cannot be kept.")
    arrays = weight_arrays(motion.parameters, "network")
    arrays |= {f"flow.{name}": part for name, part in FLOWS[kind].arrays(flow).items()}
    arrays |= {"modes": np.asarray(motion.weights)}
    arrays |= {name: np.asarray(getattr(cloud, name)) for name in ("positions", "amplitudes")}
    network = motion.network
    about = {"format": FORMAT, "flow": kind, "latent": motion.latent_size, "unit": motion.unit}
    about |= {"layers": [network.width, network.depth], "of": FLOWS[kind].about(flow)}
    save_model(folder, _NAME, arrays, about)


def load_flow(folder: RunFolder) -> DisplacedMixture:
    """What `save_flow` wrote. Raises `FileNotFoundError` where there is none, `ValueError` where
    another version wrote it."""
    about, arrays = model_about(folder, _NAME, _KIND, FORMAT), model_arrays(folder, _NAME)
    own = {k.removeprefix("flow."): v for k, v in arrays.items() if k.startswith("flow.")}
    layers, count = tuple(about["layers"]), len(arrays["modes"])
    motion = network_modes(any_key(), count, about["latent"], layers, about["unit"])
    parameters = filled(motion.parameters, "network", arrays)
    parts = lambda m: (m.parameters, m.weights)
    motion = eqx.tree_at(parts, motion, (parameters, jnp.asarray(arrays["modes"])))
    points = arrays["positions"].astype(np.float64)
    flow = FLOWS[about["flow"]].restored(own, about["of"], motion, points)
    positions, amplitudes = (jnp.asarray(arrays[n]) for n in ("positions", "amplitudes"))
    cloud = VoxelCloud(positions=positions, amplitudes=amplitudes)
    return single(DisplacedMixture(cloud, flow))
