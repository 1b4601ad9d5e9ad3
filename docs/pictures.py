"""Draws the pictures of the conventions as small SVG files, from the same formulas as the code.

python docs/pictures.py
"""

import math
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "pages" / "pictures"
INK, BLUE, RED, GREY = "#333", "#1565c0", "#c62828", "#bbb"


def svg(width: int, height: int, parts: list[str]) -> str:
    """A picture with arrow heads in three colours."""
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
        for name, colour in (("ink", INK), ("blue", BLUE), ("red", RED))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="14">'
        f"<defs>{heads}</defs>{''.join(parts)}</svg>\n"
    )


def arrow(x0, y0, x1, y1, kind="ink") -> str:
    """From one point to another."""
    colour = {"ink": INK, "blue": BLUE, "red": RED}[kind]
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" '
        f'stroke-width="2" marker-end="url(#{kind})"/>'
    )


def text(x, y, words, colour=INK, anchor="middle") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def square(x, y, size, fill="none", stroke=GREY) -> str:
    """A square, by its upper left corner."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" '
        f'fill="{fill}" stroke="{stroke}"/>'
    )


def dot(x, y, colour=INK, radius=4.0) -> str:
    """A disc."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'


def pixels() -> str:
    """Eight pixels a side, the centre at number 4; y upward."""
    n, a, left, top = 8, 26, 60, 20
    parts = [
        square(left + a * i, top + a * j, a, BLUE if (i, n - 1 - j) == (4, 4) else "none")
        for i in range(n)
        for j in range(n)
    ]
    parts += [text(left + a * (i + 0.5), top + a * n + 18, i) for i in range(n)]
    parts += [text(left - 12, top + a * (n - 1 - j) + 18, j) for j in range(n)]
    cx, cy = left + 4.5 * a, top + 3.5 * a
    parts += [
        arrow(cx, cy, cx + 118, cy, "red"),
        text(cx + 132, cy + 5, "x", RED),
        arrow(cx, cy, cx, 8, "red"),
        text(cx + 14, 16, "y", RED),
    ]
    parts += [text(390, 90, "image[y, x], n = 8", anchor="start")]
    parts += [text(390, 114, "centre: pixel n // 2 = 4", BLUE, "start")]
    parts += [text(390, 138, "pixel (i, j) lies at", anchor="start")]
    parts += [text(390, 160, "((i − 4) a, (j − 4) a) Å", anchor="start")]
    return svg(600, 260, parts)


def half_plane() -> str:
    """Which frequencies are stored, and in which rows."""
    n, a, left, top = 8, 26, 80, 20
    rows = [*range(n // 2), *range(-n // 2, 0)]
    parts = []
    for j, ky in enumerate(rows):
        for kx in range(n // 2 + 1):
            inside = kx * kx + ky * ky < (n // 2) ** 2
            fill = RED if (kx, ky) == (0, 0) else ("#bbdefb" if inside else "none")
            parts.append(square(left + a * kx, top + a * j, a, fill))
        parts.append(text(left - 18, top + a * j + 18, ky))
    parts += [text(left + a * (kx + 0.5), top + a * n + 18, kx) for kx in range(n // 2 + 1)]
    parts += [text(left + a * 2.5, top + a * n + 38, "kx · n a"), text(24, top + 108, "ky · n a")]
    parts += [text(270, 60, "transform[ky, kx], shape [n, n // 2 + 1]", anchor="start")]
    parts += [text(270, 88, "k = 0, the integral of the density", RED, "start")]
    parts += [text(270, 116, "inside the Nyquist circle |k| &lt; 1 / 2a", BLUE, "start")]
    parts += [text(270, 144, "outside: a volume's slice is 0", anchor="start")]
    parts += [text(270, 172, "columns kx = 0 and n/2 count once, others twice", anchor="start")]
    return svg(600, 276, parts)


def rotation() -> str:
    """The molecule turned, then projected along z of the microscope."""
    parts = [text(110, 24, "molecule's frame"), text(330, 24, "microscope's frame")]
    parts += [text(530, 24, "image")]
    points = [(0, 0), (34, 0), (60, 10), (72, 34)]
    for cx, angle in ((80, 0.0), (300, math.radians(50))):
        cos, sin = math.cos(angle), math.sin(angle)
        turned = [(cos * x - sin * y, sin * x + cos * y) for x, y in points]
        parts += [arrow(cx, 160, cx + 96, 160), text(cx + 106, 165, "x")]
        parts += [arrow(cx, 160, cx, 56), text(cx + 12, 62, "y")]
        parts += [dot(cx + x, 160 - y, BLUE, 7) for x, y in turned]
    parts += [arrow(200, 120, 254, 120, "red"), text(226, 108, "R", RED)]
    parts += [arrow(416, 120, 470, 120, "red"), text(442, 108, "∫ dz", RED)]
    cos, sin = math.cos(math.radians(50)), math.sin(math.radians(50))
    parts += [square(480, 60, 110)]
    for x, y in points:
        u, v = cos * x - sin * y, sin * x + cos * y
        parts.append(dot(520 + 0.8 * u, 150 - 0.8 * v, GREY, 8))
    parts += [text(300, 212, "r_microscope = R r_molecule; here R turns by 50° about z, towards y")]
    parts += [text(300, 236, "transform at (kx, ky): that of the molecule at Rᵀ (kx, ky, 0)")]
    return svg(620, 250, parts)


def shift() -> str:
    """Where the particle is, and RELION's origin."""
    cx, cy = 150, 120
    parts = [square(50, 20, 200), dot(cx, cy), text(cx - 10, cy + 22, "box centre")]
    parts += [dot(205, 70, BLUE, 14), arrow(cx, cy, 203, 72, "red"), text(186, 112, "shift", RED)]
    parts += [text(290, 60, "shift: where the particle is, Å, from the centre", RED, "start")]
    parts += [text(290, 90, "rlnOriginXAngst, rlnOriginYAngst = −shift", anchor="start")]
    parts += [text(290, 120, "transform × exp(−2πi k·shift)", anchor="start")]
    return svg(620, 240, parts)


def ctf() -> str:
    """The sign of the transfer, 300 kV, 1.5 µm underfocus, w = 0.1."""
    wavelength, defocus, cs, w = 0.0196874, 15000.0, 2.7e7, 0.1
    points = []
    for i in range(301):
        k = 0.12 * i / 300
        chi = math.pi * wavelength * (defocus * k**2 - 0.5 * cs * wavelength**2 * k**4)
        points.append((60 + 500 * k / 0.12, 110 - 80 * math.sin(chi + math.asin(w))))
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    parts = [f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="2"/>']
    parts += [arrow(60, 110, 580, 110), arrow(60, 205, 60, 14)]
    parts += [text(585, 130, "|k|", anchor="end"), text(44, 34, "+1"), text(44, 194, "−1")]
    parts += [text(150, 24, "positive at low frequency: protein is bright", BLUE, "start")]
    parts += [text(300, 226, "sin χ, 300 kV, underfocus 1.5 µm (positive), w = 0.1, up to 1/8.3 Å")]
    return svg(620, 240, parts)


def shapes() -> str:
    """What is indexed how."""
    rows = [
        ("coordinates", "(x, y, z)", "Å"),
        ("image", "[y, x]", "n × n, even"),
        ("volume", "[z, y, x]", "as in MRC"),
        ("rotation", "[3, 3]", "rows: x, y, z of the microscope"),
        ("latents of images", "[image, d]", "one row per image of the file"),
    ]
    parts = []
    for i, (name, shape, about) in enumerate(rows):
        y = 30 + 30 * i
        parts += [text(20, y, name, anchor="start"), text(220, y, shape, BLUE, "start")]
        parts += [text(340, y, about, anchor="start")]
    return svg(620, 170, parts)


DRAWINGS = {
    "pixels": pixels,
    "half_plane": half_plane,
    "rotation": rotation,
    "shift": shift,
    "ctf": ctf,
    "shapes": shapes,
}


def main() -> None:
    """All of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, drawing in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(drawing())


if __name__ == "__main__":
    main()
