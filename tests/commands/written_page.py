"""A page of `report` as a test reads it, without a browser and in one."""

import json
import re
from dataclasses import dataclass

import numpy as np

from cryojax_het.report.page_blobs import unpacked

FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--use-gl=angle"]
FLAGS += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

PIXELS = """async () => {
  const { explorer } = window.report;
  await explorer.settled;
  explorer.viewer.draw(2);
  const canvas = explorer.viewer.canvas, gl = explorer.viewer.gl;
  const bytes = new Uint8Array(4 * canvas.width * canvas.height);
  gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  return Array.from(bytes.filter((_, i) => i % 16 === 0));
}"""


@dataclass
class Page:
    """What a page holds."""

    content: dict
    blobs: dict

    def column(self, name):
        """The values of a column of images."""
        about = next(c for c in self.content["particles"]["columns"] if c["name"] == name)
        codes = np.frombuffer(unpacked(self.blobs[about["blob"]]), "<u2")
        return about["offset"] + about["scale"] * codes.astype(float)


def read_page(path):
    """The content of a page, without a browser."""
    text = path.read_text()
    content = re.search(r'<script type="application/json" id="content">(.*?)</script>', text, re.S)
    blobs = re.findall(r'<script type="text/plain" id="(b\d+)">([^<]*)</script>', text)
    assert content is not None
    return Page(json.loads(content[1]), dict(blobs))


def pixels(window):
    """What the viewer draws: a byte of each pixel."""
    return np.array(window.evaluate(PIXELS))
