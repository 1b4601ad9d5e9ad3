"""The networks of a neural field, as settings ask for them: new kinds are new entries here."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ..inference.encoders.convolutional import convolutional_encoder
from ..inference.encoders.encoded import Encoded
from ..inference.encoders.encoder import AbstractEncoder
from ..inference.encoders.pixels import pixel_encoder
from ..inference.posterior import AbstractPosterior
from ..inference.posteriors.latent_table import latent_table
from ..volumes.frequency_features import (
    AbstractFrequencyFeatures,
    gaussian_features,
    geometric_features,
    geometric_full_features,
    geometric_low_features,
    geometric_middle_features,
    linear_features,
)
from ..volumes.matrix_products import (
    AbstractProduct,
    DeviceProduct,
    FullProduct,
    HalfProduct,
)
from ..volumes.point_groups import AbstractPointGroups, InGroups, Recomputed
from .neural_field_settings import NeuralFieldSettings

_Axes = Callable[[int, int | None], AbstractFrequencyFeatures]
_AXES: Mapping[str, _Axes] = {
    "linear": linear_features,
    "geometric": geometric_features,
    "geometric-full": geometric_full_features,
    "geometric-low": geometric_low_features,
    "geometric-middle": geometric_middle_features,
}
PRODUCTS: Mapping[str, AbstractProduct] = {
    "full": FullProduct(),
    "device": DeviceProduct(),
    "half": HalfProduct(),
}
# Rows of a product on a CPU, all images of a batch together: what is between two layers stays in
# its cache. Rounded products are so fast that making layers again costs less than reading them.
_ROWS, _ROUNDED_ROWS = 1024, 512


def _kept(images: int) -> AbstractPointGroups:
    return InGroups(max(1, _ROWS // images))


def _made_again(images: int) -> AbstractPointGroups:
    return Recomputed(InGroups(max(1, _ROUNDED_ROWS // images)))


CPU_GROUPS: Mapping[str, Callable[[int], AbstractPointGroups]] = {
    "full": _kept,
    "device": _kept,
    "half": _made_again,
}


def features_of(
    key: PRNGKeyArray, settings: NeuralFieldSettings, box: int
) -> AbstractFrequencyFeatures:
    """What the field is told of a frequency."""
    if settings.features == "gaussian":
        return gaussian_features(key, box, settings.feature_width, settings.feature_count)
    return _AXES[settings.features](box, settings.feature_count)


def _pixels(key, settings: NeuralFieldSettings, box: int) -> AbstractEncoder:
    layers = settings.encoder_layers
    return pixel_encoder(key, box, settings.latent, settings.image_window, layers)


def _convolutions(key, settings: NeuralFieldSettings, box: int) -> AbstractEncoder:
    layers = settings.encoder_layers
    return convolutional_encoder(key, box, settings.latent, layers=layers, dtype=jnp.float32)


ENCODERS = {"pixels": _pixels, "convolutions": _convolutions}


def posterior_of(
    key: PRNGKeyArray, settings: NeuralFieldSettings, box: int, images: int
) -> AbstractPosterior[Any]:
    """Where latents come from, before any training."""
    if settings.posterior == "table":
        return latent_table(key, images, settings.latent, settings.row_width)
    return Encoded(ENCODERS[settings.encoder](key, settings, box))
