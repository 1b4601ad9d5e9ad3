"""Every method of `fit` with the flags that the suite gives it, and the sets it can be run on."""

import os
from pathlib import Path
from typing import NamedTuple

# Structures, in the folder of the data, that the elastic networks of a set are made of.
STRUCTURES = {"AdK-DIMS": "adk/4ake.pdb"}
# Sets whose states lie on a circle, and those with two coordinates.
CIRCLES = ("IgG-1D", "IgG-1D-noisy", "ring")
PLANES = ("Hsp90-2D",)
# As in `../neural_fields/scored.py`: a network that a few thousand images can teach, at rates that
# so few epochs need.
FIELD = ["--decoder-layers", 256, 3, "--encoder-layers", 256, 3, "--latent", 4]
FIELD += ["--epochs", 20, "--batch", 16, "--rate", 1e-3]
MODES = ["--starts", 4, "--steps", 12, "--kept", 2, "--calibration-images", 256, "--modes", 8]


class Way(NamedTuple):
    """`--volume` and flags of a method. `by`: the ways in which `volumes` makes maps of its run,
    each scored on its own; none where the run folder itself is what `validate` reads."""

    flags: tuple = ()
    by: tuple[str, ...] = ("model",)


WAYS = {
    "linear": Way(("--volume", "linear"), by=("model", "regression")),
    "classes": Way(("--volume", "classes", "--classes", 8), by=()),
    "prolate": Way(("--volume", "prolate")),
    "modes": Way(("--volume", "modes", *MODES), by=("model", "regression")),
    "gaussians": Way(("--volume", "gaussians")),
    "dynamight": Way(("--volume", "dynamight")),
    "atoms": Way(("--volume", "atoms"), by=("model", "regression")),
    "deep-modes": Way(("--volume", "deep-modes"), by=("model", "regression")),
    "regions": Way(("--volume", "regions")),
    "flex": Way(("--volume", "flex")),
    "zernike": Way(("--volume", "zernike")),
    "encoder": Way(("--volume", "cryodrgn", "--divergence", 0.25, *FIELD)),
    "table": Way(("--volume", "drgn-ai-fixed", "--row-rate", 0.1, *FIELD)),
}
# What is scored, by the name that it has in the tables: a method, and how its maps are made.
SCORED = {
    (method if len(way.by) < 2 else f"{method}-{by}"): (method, by)
    for method, way in WAYS.items()
    for by in way.by or (None,)
}
NEED_STRUCTURE = ("atoms",)  # and have no way without one


def applies(method: str, name: str) -> bool:
    """Whether a method can be run on a set."""
    return method not in NEED_STRUCTURE or name in STRUCTURES


def flags_of(method: str, name: str) -> list:
    """The flags of a method on a set: those of its own, and what is known of the set beforehand."""
    flags = list(WAYS[method].flags)
    if method == "prolate" and name in CIRCLES:
        flags += ["--path", "circle", "--order", 3]
    if method == "prolate" and name in PLANES:
        flags += ["--latents", 2]
    if method in ("modes", "deep-modes", "atoms") and name in STRUCTURES:
        flags += ["--structure", Path(os.environ["CRYOJAX_HET_DATA"]) / STRUCTURES[name]]
    return flags
