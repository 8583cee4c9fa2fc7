"""The images worth a second look as one picture: thumbnails with label, suggestion and reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lib.datasets.images import read_reduced
from lib.files import replacing
from lib.fit.second_look import Look

COLUMNS, MOST = 6, 24
THUMB_PX, TEXT_PX, GAP_PX = 200, 66, 12
INK, PAPER, MUTED = (30, 30, 30), (255, 255, 255), (110, 110, 110)
SHORT = {
    "contradicts its label": "answer differs",
    "near-duplicate with another label": "near-duplicate",
    "unlike all others": "unlike all others",
}


def draw_contact_sheet(root: Path, looks: Sequence[Look], path: Path) -> int:
    """Writes the first 24 as a JPEG; returns how many. Nothing is written where there are none."""
    shown = looks[:MOST]
    if not shown:
        path.unlink(missing_ok=True)
        return 0
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    width, height = THUMB_PX + GAP_PX, THUMB_PX + TEXT_PX + GAP_PX
    sheet = Image.new("RGB", (columns * width + GAP_PX, rows * height + GAP_PX), PAPER)
    for place, look in enumerate(shown):
        x, y = GAP_PX + place % columns * width, GAP_PX + place // columns * height
        sheet.paste(_thumbnail(root / look.file), (x, y))
        _caption(ImageDraw.Draw(sheet), look, x, y + THUMB_PX + 4)
    with replacing(path) as draft:
        sheet.save(draft, format="JPEG", quality=85)
    return len(shown)


def _thumbnail(path: Path) -> Image.Image:
    """The whole image on a square of the paper's grey."""
    picture = read_reduced(path, 4 * THUMB_PX * THUMB_PX).convert("RGB")
    scale = THUMB_PX / max(picture.size)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    square = Image.new("RGB", (THUMB_PX, THUMB_PX), (235, 235, 235))
    square.paste(
        picture.resize(size, Image.Resampling.BICUBIC),
        ((THUMB_PX - size[0]) // 2, (THUMB_PX - size[1]) // 2),
    )
    return square


def _caption(draw: ImageDraw.ImageDraw, look: Look, x: int, y: int) -> None:
    font = ImageFont.load_default(size=13)
    asked = f"{look.label}, or {look.suggested}?" if look.suggested else look.label
    file = look.file.rsplit("/", 1)[-1]
    lines = [(asked, INK), (f"{SHORT[look.kind]}, {look.score:.2f}", MUTED), (file, MUTED)]
    for row, (text, colour) in enumerate(lines):
        draw.text((x, y + 19 * row), _fitting(draw, text, font), fill=colour, font=font)


def _fitting(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    if draw.textlength(text, font=font) <= THUMB_PX:
        return text
    while len(text) > 1 and draw.textlength(text + "…", font=font) > THUMB_PX:
        text = text[:-1]
    return text + "…"
