"""The page in a real Chromium, opened from disk: it runs without errors, sorts, filters, can be used by keyboard and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.page.fit_page import write_fit_page
from tests.page.test_pages import fit_of

LEAST_CONTRAST, LEAST_OF_LARGE = 4.5, 3.0  # WCAG 2.2, level AA
CONTRASTS = """() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const rgba = (color) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = color; pen.fillRect(0, 0, 1, 1); return [...pen.getImageData(0, 0, 1, 1).data]; };
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (node) => { for (; node; node = node.parentElement) { const c = rgba(getComputedStyle(node).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const fore = rgba(node.closest("svg") ? style.fill : style.color), back = ground(node);
    const [high, low] = [light(fore), light(back)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const key = [node.tagName, node.className.baseVal ?? node.className, fore, back, large].join(" ");
    found[key] = {ratio: (high + .05) / (low + .05), large};
  }
  return Object.entries(found).map(([name, value]) => ({name, ...value}));
}"""


class Tab:
    """A page in the browser, and everything that went wrong on it."""

    def __init__(self, browser: Any, page: Path, width: int = 1280, theme: str = "light") -> None:
        self.view = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=theme)
        self.view.set_default_timeout(20_000)
        self.faults: list[str] = []
        self.view.on("console", lambda message: self.faults.append(message.text))
        self.view.on("pageerror", lambda error: self.faults.append(str(error)))
        self.view.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        self.view.on("request", lambda request: self.faults.append(request.url) if "file:" not in request.url[:5] and "data:" not in request.url[:5] else None)  # fmt: skip
        self.view.goto(page.as_uri())

    def shown(self) -> list[list[str]]:
        """Cells of the leaderboard's visible lines."""
        lines = "[...document.querySelector('#board-table').tBodies[0].rows].filter(r => !r.hidden)"
        cells: list[list[str]] = self.view.evaluate(
            f"{lines}.map(r => [...r.cells].map(c => c.textContent.trim()))"
        )
        return cells

    def sort_by(self, column: str) -> None:
        """Clicks a heading of the leaderboard."""
        self.view.locator("#board-table thead button", has_text=column).click()

    def comes_to(self, holds: Callable[[], bool]) -> bool:
        """Whether it holds within five seconds: events of scrolling, resetting and of links come after the call returns."""
        for _ in range(100):
            if holds():
                return True
            self.view.wait_for_timeout(50)
        return False

    def unreadable(self) -> list[Any]:
        """Texts with too little contrast."""
        texts = self.view.evaluate(CONTRASTS)
        assert len(texts) > 10
        return [t for t in texts if t["ratio"] < (LEAST_OF_LARGE if t["large"] else LEAST_CONTRAST) - 0.005]


@pytest.fixture
def tab(chromium: Any, page: Path) -> Iterator[Tab]:
    opened = Tab(chromium, page)
    yield opened
    assert opened.faults == []
    opened.view.close()


def test_sorting_changes_the_order_and_back(tab: Tab) -> None:
    tab.sort_by("test")
    falling = [float(row[6]) for row in tab.shown()]
    assert falling == sorted(falling, reverse=True) and len({*falling}) > 5
    tab.sort_by("test")
    assert [float(row[6]) for row in tab.shown()] == sorted(falling)
    tab.sort_by("backbone")
    names = [row[3] for row in tab.shown()]
    assert names == sorted(names)


def test_filters_leave_what_they_ask_for(tab: Tab) -> None:
    everything = tab.shown()
    tab.view.get_by_label("domain", exact=True).select_option("medical")
    tab.view.get_by_label("backbone", exact=True).select_option("resnet18")
    assert tab.shown() == [row for row in everything if row[1] == "medical" and row[3] == "resnet18"] != []
    assert tab.view.locator("form output").first.text_content().startswith(f"{len(tab.shown())} of ")
    tab.view.get_by_role("button", name="Show all").click()
    assert tab.comes_to(lambda: tab.shown() == everything)
    tab.view.get_by_label("latency, ms at most").fill("2")
    assert tab.comes_to(lambda: {row[3] for row in tab.shown()} == {"handcrafted"})


def test_hovering_and_focusing_a_cell_of_the_matrix_say_what_it_is(tab: Tab) -> None:
    tip, cell = tab.view.locator("#tip"), tab.view.locator(".heat .h-cannot").first
    cell.hover()
    tab.view.wait_for_timeout(200)  # the page scrolled to the cell: its event comes a frame later
    assert "does not fit" in tip.text_content() and tip.is_visible()
    tab.view.locator(".heat .h-best").focus()
    assert "resnet50 × linear" in tip.text_content()


def test_focus_is_seen_and_reaches_headings_by_keyboard(tab: Tab) -> None:
    tab.view.keyboard.press("Tab")
    assert tab.view.evaluate("document.activeElement.className") == "skip"
    heading = tab.view.locator("#board-table thead button").first
    tab.view.get_by_label("parameters, M at most").focus()
    for _ in range(3):
        tab.view.keyboard.press("Tab")
    assert heading.evaluate("node => node === document.activeElement")
    assert float(heading.evaluate("node => parseFloat(getComputedStyle(node).outlineWidth)")) >= 2
    tab.view.keyboard.press("Enter")
    assert tab.view.locator("#board-table th[aria-sort]").count() == 1


def test_a_link_to_a_data_set_opens_it_and_the_search_hides_the_others(tab: Tab) -> None:
    tab.view.locator("#board-table a").first.click()
    assert tab.comes_to(lambda: tab.view.locator("details.set[open]").count() == 1)
    tab.view.get_by_role("searchbox").fill("set2")
    assert tab.comes_to(lambda: tab.view.locator("details.set:visible").count() == 1)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_all_texts_have_contrast_and_no_page_is_wider_than_the_screen(
    chromium: Any, page: Path, tmp_path: Path, theme: str, width: int
) -> None:
    for file in (page, write_fit_page(fit_of(tmp_path))):
        tab = Tab(chromium, file, width, theme)
        tab.view.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert tab.unreadable() == []
        assert tab.view.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.faults == []
        tab.view.close()


def test_the_switch_of_the_theme_wins_over_the_system(tab: Tab) -> None:
    switch, ground = tab.view.locator("#theme"), "getComputedStyle(document.body).backgroundColor"
    light = tab.view.evaluate(ground)
    switch.click()
    assert tab.view.evaluate(ground) == light
    switch.click()
    assert tab.view.evaluate(ground) != light and switch.text_content() == "Theme: dark"
    tab.view.reload()
    assert switch.text_content() == "Theme: dark"


def test_without_a_script_everything_is_there_and_no_dead_control_is_shown(chromium: Any, page: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(page.as_uri())
    assert view.locator("form.controls").first.is_hidden()
    assert view.locator("#board-table tbody tr").first.is_visible()
    context.close()
