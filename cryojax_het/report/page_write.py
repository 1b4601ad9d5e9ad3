"""One self-contained HTML page: text, styles, programs, numbers and pictures in a single file.

What a browser runs is in the files of `page/`. The page may load nothing: a policy inside it
forbids it every connection.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..particles.files import replacing
from .page_blobs import Blobs

# In this order they make one module.
_SCRIPTS = ("dom", "decode", "mixes", "viewer", "charts", "particles", "scatter", "select")
_SCRIPTS += ("player", "explore", "sections", "main")
_SHADERS = ("surface.vert", "surface.frag")


def write_page(path: Path, title: str, content: Mapping[str, Any], blobs: Blobs) -> None:
    """Write the page, whole or not at all.

    - `content`: what it shows (strings, numbers, lists; NumPy's too), read by `page/main.js`;
      numbers that are not finite become null.

    Raises `ImportError` where plotly is missing.
    """
    pieces = [
        _asset("head.html")
        .replace("@TITLE@", _escaped(title))
        .replace("@STYLE@", _asset("style.css")),
        *(f'<script type="text/plain" id="{n}">{t}</script>\n' for n, t in blobs.texts.items()),
        *(f'<script type="text/plain" id="{n}">{_asset(n)}</script>\n' for n in _SHADERS),
        f'<script type="application/json" id="content">{_json(content)}</script>\n',
        f"<script>{_plotly()}</script>\n",
        '<script type="module">\n' + "\n".join(_asset(f"{n}.js") for n in _SCRIPTS) + "</script>\n",
        "</body></html>\n",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(pieces)


def _asset(name: str) -> str:
    return resources.files("cryojax_het.report").joinpath("page", name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ImportError("Pages need plotly: pip install 'cryojax_het[report]'.") from error
    return get_plotlyjs()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(content: Mapping[str, Any]) -> str:
    # "</script>" inside a string would end the block.
    return json.dumps(_plain(content), allow_nan=False).replace("</", "<\\/")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value
