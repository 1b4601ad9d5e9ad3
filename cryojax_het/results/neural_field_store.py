"""A neural field in a run folder: `model/neural_field.npz` and `.json`.

Arrays are found by the name of their field, never by position. A new kind of features or products
is one more entry of `FEATURES` or `PRODUCTS`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..volumes.frequency_features import (
    AbstractFrequencyFeatures,
    AxisFeatures,
    GaussianFeatures,
)
from ..volumes.matrix_products import (
    AbstractProduct,
    DeviceProduct,
    FullProduct,
    HalfProduct,
)
from ..volumes.neural_field import NeuralField, neural_field
from .model_files import model_about, model_arrays, save_model
from .network_weights import any_key, filled, weight_arrays
from .run import RunFolder

FORMAT = 1
_NAME, _KIND = "neural_field", "a neural field"

# From their pitches.
FEATURES: Mapping[str, Callable[[np.ndarray], AbstractFrequencyFeatures]] = {
    "GaussianFeatures": lambda pitches: GaussianFeatures(jnp.asarray(pitches, jnp.float32)),
    "AxisFeatures": lambda pitches: AxisFeatures(tuple(pitches.tolist())),
}
PRODUCTS: Mapping[str, type[AbstractProduct]] = {
    kind.__name__: kind for kind in (FullProduct, DeviceProduct, HalfProduct)
}


def save_neural_field(folder: RunFolder, field: NeuralField) -> None:
    """Write both files, each whole or not at all; groups of points are no part of a model.

    `TypeError` for features or products of a kind that is not kept.
    """
    features, network = field.features, field.network
    kinds = type(features).__name__, type(network.product).__name__
    if not isinstance(features, GaussianFeatures | AxisFeatures) or kinds[1] not in PRODUCTS:
        raise TypeError(f"A field of {kinds[0]} and {kinds[1]} cannot be kept.")
    arrays = weight_arrays(field.parameters, "parameters")
    arrays |= {"profile": np.asarray(field.profile), "spacing": np.asarray(field.spacing)}
    arrays |= {"pitches": np.asarray(features.pitches)}
    about: dict[str, Any] = {"format": FORMAT, "latent": field.latent_size}
    about |= {"features": kinds[0], "product": kinds[1]}
    about |= {"layers": [network.width, network.depth]}
    save_model(folder, _NAME, arrays, about)


def load_neural_field(folder: RunFolder) -> NeuralField:
    """What `save_neural_field` wrote. Raises `FileNotFoundError` where there is none, `ValueError`
    where another version wrote it."""
    about, arrays = model_about(folder, _NAME, _KIND, FORMAT), model_arrays(folder, _NAME)
    features = FEATURES[about["features"]](arrays["pitches"])
    product = PRODUCTS[about["product"]]()
    known = (jnp.asarray(arrays["profile"]), jnp.asarray(arrays["spacing"]), features)
    field = neural_field(any_key(), *known, about["latent"], tuple(about["layers"]), product)
    parameters = filled(field.parameters, "parameters", arrays)
    return eqx.tree_at(lambda f: f.parameters, field, parameters)
