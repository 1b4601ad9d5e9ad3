"""cryoDRGN 4.3.1: its own `train_batch` and `eval_volume`, on random images.

worker_cryodrgn.py BOX WIDTH DEPTH BATCH WEIGHTS.npz
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import protocol
import torch
from cryodrgn.commands.train_vae import train_batch
from cryodrgn.lattice import Lattice
from cryodrgn.models import HetOnlyVAE

LATENT = 8


def network(lattice: Lattice, width: int, depth: int) -> HetOnlyVAE:
    """As `train_vae` makes it with its defaults: half of each image's frequencies, real and
    imaginary parts, by Gaussian features."""
    mask = lattice.get_circular_mask(lattice.D // 2)
    return HetOnlyVAE(
        lattice,
        depth,
        width,
        depth,
        width,
        int(mask.sum()),
        LATENT,
        encode_mode="resid",
        enc_mask=mask,
        enc_type="gaussian",
        domain="fourier",
        feat_sigma=0.5,
    )


class Work:
    """One box and one size of networks."""

    def __init__(self, box: int, width: int, depth: int, batch: int, weights: str):
        torch.manual_seed(0)
        self.lattice = Lattice(box + 1)
        self.model, self.weights = network(self.lattice, width, depth), np.load(weights)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        self.images = torch.randn(batch, box + 1, box + 1)
        turns = np.linalg.qr(np.random.default_rng(0).normal(size=(batch, 3, 3)))[0]
        turns *= np.sign(np.linalg.det(turns))[:, None, None]
        self.rotations = torch.tensor(turns, dtype=torch.float32)
        self.shifts = torch.zeros(batch, 2)
        optics = [3.0, 15000.0, 14000.0, 10.0, 300.0, 2.7, 0.1, 0.0]
        self.optics = torch.tensor([optics] * batch)

    def train(self):
        """One step."""
        return train_batch(
            self.model,
            self.lattice,
            self.images,
            None,
            self.rotations,
            self.shifts,
            self.optimiser,
            1 / LATENT,
            ctf_params=self.optics,
        )

    def volume(self):
        """One map."""
        self.model.eval()
        decoder, lattice = self.model.decoder, self.lattice
        norm, z = (0.0, 1.0), np.zeros(LATENT, np.float32)
        return decoder.eval_volume(lattice.coords, lattice.D, lattice.extent, norm, z)

    def outputs(self):
        """The decoder with given weights at given points and one latent."""
        decoder, w = self.model.decoder, self.weights
        state = decoder.decoder.state_dict()
        tensors = dict(zip(state, _tensors(w), strict=True))
        decoder.decoder.load_state_dict(tensors)
        decoder.rand_freqs.data = torch.tensor(w["pitches"]) / decoder.D2
        points = torch.tensor(w["points"])
        z = torch.tensor(w["z"]).expand(len(points), LATENT)
        with torch.no_grad():
            inputs = decoder.positional_encoding_geom(torch.cat([points, z], dim=1))
            return decoder.decoder(inputs).numpy()


def _tensors(w):
    kernels = [np.concatenate([w["first"], w["latent"]]), *w["hidden"], w["last"]]
    offsets = [w["offset"], *w["offsets"], w["end"]]
    for kernel, offset in zip(kernels, offsets, strict=True):
        yield torch.tensor(np.ascontiguousarray(kernel.T))
        yield torch.tensor(offset)


def main():
    """Serve."""
    torch.set_num_threads(1)
    box, width, depth, batch = map(int, sys.argv[1:5])
    work = Work(box, width, depth, batch, sys.argv[5])
    works = {name: (lambda name=name: (getattr(work, name), ())) for name in _NAMES}
    protocol.serve(works, lambda result: result)


_NAMES = ("train", "volume", "outputs")

if __name__ == "__main__":
    main()
