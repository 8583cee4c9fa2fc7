"""A template and its values become one HTML file: style and script inside, every value escaped, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.files import write_atomically, writing
from lib.page.charts import drawing
from lib.reporting.tables import readable_seconds

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
NONE = "—"
MILLION = 1e6


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Renders `template` into `path`, whole or not at all; raises CvAutomlError where it cannot be written."""
    page = _environment().get_template(template).render(**values)
    writing(path, lambda: write_atomically(path, page))
    return path


@cache
def _environment() -> Environment:
    """Escapes everything but the project's own style and script; a name that no template was given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _own("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    found.globals |= {
        "style": Markup(_own("page.css")),
        "script": Markup(script),
        "script_hash": f"'sha256-{digest}'",
        "drawing": drawing,
    }
    found.filters |= {one.__name__: one for one in (number, signed, percent, count, seconds, ms)}
    return found


def _own(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def number(value: float | None, digits: int = 3, sign: str = "") -> str:
    """`0.812`, a dash where there is none or it is not one."""
    return NONE if value is None or value != value else f"{value:{sign}.{digits}f}"


def signed(value: float) -> str:
    """`+0.012`."""
    return number(value, sign="+")


def percent(value: float | None) -> str:
    """`89 %`."""
    return NONE if value is None else f"{100 * value:.0f} %"


def seconds(value: float | None) -> str:
    """`3 min 20 s`."""
    return NONE if value is None else readable_seconds(value)


def ms(value: float | None) -> str:
    """`11.2 ms`."""
    return NONE if value is None else f"{value:.1f} ms"


def count(value: float | None) -> str:
    """`1,205`, from a million on `5.5 M`.

    >>> count(5_526_346)
    '5.5 M'
    """
    if value is None:
        return NONE
    return f"{value / MILLION:.1f} M" if value >= MILLION else f"{value:,.0f}"


def picture_source(path: Path, longest_px: int = 1400) -> str | None:
    """The picture as a data URI (WebP, shrunk to `longest_px` where it is larger); None where it cannot be read as one."""
    import io

    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return None
    picture.thumbnail((longest_px, 4 * longest_px))
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
