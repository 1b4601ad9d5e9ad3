"""What a fitted field leaves: the full-resolution map through it, and what its half-maps say.

The field was fitted to frequencies below a cut-off, and each half-map beyond it comes from its own
half of the images: where the half-maps agree better there than rigid ones, the motion is real.
(Punjani & Fleet 2023, Nat. Methods 20.)
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..analysis.fsc import masked_fsc, resolution
from ..results.flow_store import save_flow
from ..results.run import RunFolder
from ..volumes.displaced import DisplacedMixture
from ..volumes.flow import AbstractFlow
from ..volumes.nearest_rotation import determinant
from ..volumes.voxel_cloud import cloud_within, voxels_within
from .consensus_output import write_map
from .flow_map import at_rest, through_flow

if TYPE_CHECKING:
    from .flow_setting import FlowSetting

_LOOKED = 200  # images whose displacements are summed up
_MOVING = (0.25, 0.75)  # of the largest displacement: where the moving region begins, and is whole


def write_flow(setting: "FlowSetting", folder: RunFolder, volume: DisplacedMixture) -> dict:
    """`volumes/reference*.mrc`, `analysis/flow_fsc.csv` and the model; numbers for the summary."""
    flow, size = volume.displacement, setting.data.size
    assert isinstance(flow, AbstractFlow)
    latents = np.asarray(folder.latents().read("conformation"))
    found = through_flow(setting, flow, latents, size)
    names = ("reference", "reference_half1", "reference_half2")
    for name, voxels in zip(names, (found.whole, *found.halves), strict=True):
        write_map(setting, folder, name, voxels)
    flat, points = voxels_within(setting.window(size), setting.spacing(size))
    cloud = cloud_within(found.whole, setting.window(size), setting.spacing(size))
    whole = DisplacedMixture(cloud, flow.at(points))
    save_flow(folder, whole)
    moved, smallest = _motion(whole, latents)
    region = _moving(setting, flat, moved)
    write_map(setting, folder, "moving", region)
    curves = _curves(setting, at_rest(setting, size).halves, found.halves, region)
    _write(setting, folder, curves)
    weight = np.abs(np.asarray(cloud.amplitudes, np.float64))
    return {
        "passes": found.passes,
        "displacement": float(np.sqrt(weight @ moved**2 / weight.sum())),
        "largest_displacement": float(moved.max()),
        "smallest_determinant": smallest,
        **_told(setting, curves),
    }


def _motion(volume: DisplacedMixture, latents) -> tuple[Float[np.ndarray, " j"], float]:
    """Of each voxel, the standard deviation of its place over images, Å; and the least determinant
    of the field's stretches."""
    flow: Any = volume.displacement
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(latents))[:_LOOKED]

    @eqx.filter_jit
    def add(sums, flow, z):
        first, second, least = sums
        u = flow.change(z, volume.reference.positions).displacement
        det = jnp.min(determinant(flow.stretches(z)))
        return first + u, second + u**2, jnp.minimum(least, det)

    zero = jnp.zeros_like(volume.reference.positions)
    sums = (zero, zero, jnp.float32(jnp.inf))
    for row in rows:
        sums = add(sums, flow, jnp.asarray(latents[row], jnp.float32))
    first, second, least = (np.asarray(jax.device_get(part), np.float64) for part in sums)
    variance = second / len(rows) - (first / len(rows)) ** 2
    return np.sqrt(np.maximum(variance.sum(axis=1), 0)), float(least)


def _moving(setting: "FlowSetting", flat, moved) -> Float[np.ndarray, "n n n"]:
    """The window where displacements are among the largest; soft, as these vary in space."""
    size = setting.data.size
    low, high = _MOVING
    share = np.clip((moved / max(moved.max(), 1e-12) - low) / (high - low), 0, 1)
    region = np.zeros(size**3)
    region[flat] = 0.5 * (1 - np.cos(np.pi * share))
    return region.reshape((size,) * 3) * setting.window(size)


def _curves(setting: "FlowSetting", rigid, flowing, region) -> dict[str, np.ndarray]:
    """FSC of half-maps, rigid ones and those through the field, solved for alike."""
    masks = {"molecule": setting.window(setting.data.size), "moving": region}
    return {
        f"{kind}_{where}": masked_fsc(pair[0].astype(float), pair[1].astype(float), mask).corrected
        for where, mask in masks.items()
        for kind, pair in (("rigid", rigid), ("flow", flowing))
    }


def _told(setting: "FlowSetting", curves) -> dict[str, Any]:
    """Resolutions at FSC 0.143 (Å), and the mean FSC beyond the frequencies that were fitted."""
    size = setting.data.size
    length, cutoff = size * setting.spacing(size), setting.box // 2
    told: dict[str, Any] = {"cutoff": length / cutoff}
    for name, curve in curves.items():
        told[f"resolution_{name}"] = resolution(curve, 0.143, length)
        if cutoff < len(curve):
            told[f"fsc_beyond_cutoff_{name}"] = float(np.mean(curve[cutoff:]))
    return told


def _write(setting: "FlowSetting", folder: RunFolder, curves) -> None:
    size = setting.data.size
    frequency = np.arange(size // 2 + 1) / (size * setting.spacing(size))
    table = np.column_stack([frequency, *curves.values()])
    header = ",".join(["frequency", *curves])
    path = folder.folder("analysis") / "flow_fsc.csv"
    np.savetxt(path, table, "%.6g", ",", header=header, comments="")
