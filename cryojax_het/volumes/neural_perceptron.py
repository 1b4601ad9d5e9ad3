"""The network of a latent alone, as bodies and occupancies follow one."""

from flax import linen as nn


class SmallPerceptron(nn.Module):
    """A multilayer perceptron with smooth activations and a last layer of 0: what follows it is at
    rest until it is trained."""

    width: int
    depth: int
    outputs: int

    @nn.compact
    def __call__(self, hidden):
        """The outputs for a latent `[d]`."""
        dense = lambda size, **options: nn.Dense(size, param_dtype=hidden.dtype, **options)
        for _ in range(self.depth):
            hidden = nn.silu(dense(self.width)(hidden))
        return dense(self.outputs, use_bias=False, kernel_init=nn.initializers.zeros)(hidden)
