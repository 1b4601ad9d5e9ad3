"""The weight of restraints beside the images, from both their gradients."""

from jaxtyping import Array, Float, PyTree

from ..training.balance import BalancedGradients, norm


def balanced_weight(
    data_gradient: PyTree, restraint_gradient: PyTree, share: float = 0.9, most: float = 1e3
) -> Float[Array, ""]:
    """`share · |data| / |restraint|`, at most `most`, and 0 where the restraint does not pull; the
    norms are over all arrays of a gradient together. `BalancedGradients` is the same rule for
    norms, which training averages over batches. (Schwab et al. 2024, Nat. Methods 21: DynaMight.)
    """
    rule = BalancedGradients(share, most)
    return rule.factor(norm(data_gradient), norm(restraint_gradient))
