"""Fits of a small neural field, as the tests of several files make them."""

import json
from typing import Any

import jax

from cryojax_het.commands.fit_neural_field import fit_neural_field

FAST: dict[str, Any] = {
    "devices": 1,
    "batch": 8,
    "latent": 2,
    "decoder_layers": (64, 2),
    "encoder_layers": (64, 2),
    "feature_width": 1.5,
    "rate": 5e-3,
}
STEPS = 30  # of an epoch of `finely_hinged`


def fitted(config):
    """As users run it: JAX in single precision."""
    with jax.enable_x64(False):
        return fit_neural_field(config, ["test"])


def curve_of(folder, name="loss"):
    """By epoch; one that was begun again counts as it ended."""
    lines = (folder / "log.jsonl").read_text().splitlines()
    return {entry["step"]: entry[name] for entry in map(json.loads, lines) if name in entry}
