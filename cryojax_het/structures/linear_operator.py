"""A symmetric matrix known only by its products."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

Product = Callable[[Float[np.ndarray, " m"]], Float[np.ndarray, " m"]]


def symmetric_operator(size: int, product: Product) -> Any:
    """SciPy's `LinearOperator` `[size, size]`, real, of this product with a vector."""
    from scipy.sparse.linalg import LinearOperator

    # The class picks a subclass by its arguments, which pyright cannot see.
    return LinearOperator((size, size), matvec=product, dtype=np.float64)  # pyright: ignore
