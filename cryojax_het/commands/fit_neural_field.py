"""`cryojax-het fit --volume neural-field` and its kin: cryoDRGN, and DRGN-AI with known poses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from .neural_field_settings import NeuralFieldSettings


@final
@dataclass(frozen=True, kw_only=True)
class NeuralFieldConfig(NeuralFieldSettings):
    """Settings of a fit of a neural field in Fourier space."""

    volume: Literal["neural-field"] = "neural-field"
    """A network of the frequency and the latent."""


@final
@dataclass(frozen=True, kw_only=True)
class CryodrgnConfig(NeuralFieldSettings):
    """Settings of a fit as cryoDRGN's `train_vae` (Zhong et al. 2021, Nat. Methods 18), its options
    by these names: zdim: latent; n: epochs; b: batch; lr: rate; beta: twice divergence; enc-layers,
    enc-dim: encoder-layers; dec-layers, dec-dim: decoder-layers; pe-type, pe-dim: features,
    feature-count; feat-sigma: feature-width; window-r: image-window; D: box, latent-box.

    Unlike there: images are weighed by their noise's spectrum, contrasts are integrated over, the
    encoder is told the view, the learning rate falls to 0 (twice lr is the same in the mean), and
    frequencies beyond the resolution of the half-maps are left out (`--latent-box` of the box's
    size as there)."""

    volume: Literal["cryodrgn"] = "cryodrgn"
    """A network of the frequency and the latent, with cryoDRGN's defaults."""
    batch: int | None = 16
    epochs: int = 20
    rate: float = 1e-4
    warm_up: float = 0.0
    # Its images have variance 1: its loss is twice ours, in which its beta, 1/8, counts half.
    divergence: float = 0.0625
    decoder_layers: tuple[int, int] = (1024, 3)
    encoder_layers: tuple[int, int] = (1024, 3)


@final
@dataclass(frozen=True, kw_only=True)
class DrgnAiFixedConfig(NeuralFieldSettings):
    """Settings of a fit as DRGN-AI's with poses that are known (Levy et al. 2025, Nat. Methods 22):
    latents in a table, found with the field.

    Unlike there, latents have the prior that all methods here have (`--divergence 0` as there). Its
    rate of latents, `--row-rate 0.01`, is one for 100 epochs: in 20 they hardly leave where they
    begin, and 0.1 was better."""

    volume: Literal["drgn-ai-fixed"] = "drgn-ai-fixed"
    """A network of the frequency and of latents in a table, with DRGN-AI's defaults."""
    latent: int = 4
    posterior: Literal["encoder", "table"] = "table"
    row_rate: float = 1e-2
    batch: int | None = 256
    epochs: int = 100
    rate: float = 1e-4
    warm_up: float = 0.0


def fit_neural_field(config: NeuralFieldSettings, command: Sequence[str]) -> dict:
    """Runs, or takes up, the fit of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from .fit_start import opened_data
    from .neural_field_setting import NeuralFieldSetting
    from .training_run import run

    data = opened_data(config)
    return run(config, command, lambda *found: NeuralFieldSetting(config, data, *found))
