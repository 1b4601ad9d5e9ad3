"""Where a fit of normal modes stands, and its checkpoints."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..results.checkpoint import (
    checkpoint_note,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.run import RunFolder
from ..volumes.displaced import DisplacedMixture
from ..volumes.normal_modes import NormalModes
from .modes_setting import ModesSetting

LOG = logging.getLogger("cryojax_het")
_STRIDE = 1_000_000  # checkpoints of a round, at most


@final
@dataclass
class Sums:
    """Over the images of a round at the best hypothesis of each: products of image and model and of
    the model with itself, by squared radius; contrast; `log p(y)`; images."""

    cross: Float[np.ndarray, " r"]
    power: Float[np.ndarray, " r"]
    contrast: float = 0.0
    evidence: float = 0.0
    images: int = 0


@final
@dataclass
class State:
    """The mixture's `amplitudes` and `widths` and the width `softest` of the prior (Å) in round
    `number`, of which `batches` are done."""

    amplitudes: Float[np.ndarray, " j"]
    widths: Float[np.ndarray, " c"]
    softest: float
    sums: Sums = field(repr=False)
    number: int = 0
    batches: int = 0


def no_sums(setting: ModesSetting) -> Sums:
    """Before the first image of a round."""
    count = (setting.box // 2) ** 2 + 1
    return Sums(np.zeros(count), np.zeros(count))


def first_state(setting: ModesSetting) -> State:
    """As the consensus has the mixture."""
    mixture = setting.reference.mixture
    amplitudes, widths = np.asarray(mixture.amplitudes), np.asarray(mixture.widths)
    return State(amplitudes, widths, setting.config.softest, no_sums(setting))


def volume_of(setting: ModesSetting, state: State, unit: Float[np.ndarray, " k"]):
    """The mixture of this state and its modes, `unit` Å of each to a latent of 1."""
    reference = replace(
        setting.reference.mixture,
        amplitudes=jnp.asarray(state.amplitudes, jnp.float32),
        widths=jnp.asarray(state.widths, jnp.float32),
    )
    vectors = setting.basis.vectors * unit[:, None, None]
    return DisplacedMixture(reference, NormalModes(jnp.asarray(vectors, jnp.float32)))


def save(folder: RunFolder, state: State) -> None:
    """A checkpoint."""
    note: dict[str, Any] = {"softest": state.softest, "number": state.number}
    note["batches"] = state.batches
    for name in ("contrast", "evidence", "images"):
        note[name] = getattr(state.sums, name)
    save_checkpoint(
        folder.checkpoints, _STRIDE * state.number + state.batches, _arrays(state), note
    )


def resume(folder: RunFolder, setting: ModesSetting) -> State:
    """As the latest checkpoint has it, or the first state."""
    state = first_state(setting)
    path = latest_checkpoint(folder.checkpoints)
    if path is None:
        return state
    tree, note = load_checkpoint(path, _arrays(state)), checkpoint_note(path)
    about = (note["contrast"], note["evidence"], note["images"])
    sums = Sums(tree["cross"], tree["power"], *about)
    LOG.info("Taken up in round %d after %d batches.", note["number"] + 1, note["batches"])
    return State(
        amplitudes=tree["amplitudes"],
        widths=tree["widths"],
        softest=note["softest"],
        sums=sums,
        number=note["number"],
        batches=note["batches"],
    )


def _arrays(state: State) -> dict[str, np.ndarray]:
    return {
        "amplitudes": np.asarray(state.amplitudes, np.float32),
        "widths": np.asarray(state.widths, np.float32),
        "cross": state.sums.cross,
        "power": state.sums.power,
    }
