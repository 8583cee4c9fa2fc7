"use strict";
const root = document.documentElement;
root.classList.add("js");
const remembered = (set) => {
  try { return set === undefined ? localStorage.getItem("theme") : localStorage.setItem("theme", set); } catch { return null; }
};
const THEMES = ["auto", "light", "dark"];
const theme = (name) => {
  if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
  const button = document.getElementById("theme");
  if (button) button.textContent = "Theme: " + name;
  return name;
};
let chosen = theme(THEMES.includes(remembered()) ? remembered() : "auto");

const value = (cell) => (cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v === "" ? null : Number(cell.dataset.v));
const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));

function sortBy(table, place, button) {
  const head = button.closest("th");
  const down = head.getAttribute("aria-sort") === "ascending" || (!head.hasAttribute("aria-sort") && head.dataset.first === "descending");
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [value(row.cells[place]), row]);
  rows.sort(([a], [b]) => (a === null ? 1 : b === null ? -1 : (down ? -1 : 1) * compare(a, b)));
  body.append(...rows.map(([, row]) => row));
}

function makeSortable(table) {
  table.querySelectorAll("thead th[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, head.cellIndex, button));
  });
}

function passes(row, filter) {
  if (filter.value === "") return true;
  const cell = row.cells[Number(filter.dataset.column)];
  if (filter.type === "number") return value(cell) !== null && value(cell) <= Number(filter.value) * Number(filter.dataset.unit);
  return cell.textContent.trim() === filter.value;
}

function makeFilterable(box) {
  const table = document.getElementById(box.dataset.table);
  const filters = [...box.querySelectorAll("[data-column]")];
  const said = box.querySelector("output");
  const show = () => {
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = !filters.every((filter) => passes(row, filter));
      shown += !row.hidden;
    }
    said.textContent = shown + " of " + table.tBodies[0].rows.length + " lines";
  };
  box.addEventListener("input", show);
  box.addEventListener("reset", () => setTimeout(show));
  box.addEventListener("submit", (event) => event.preventDefault());
  show();
}

function makeSearchable(input) {
  const all = [...document.querySelectorAll(input.dataset.search)];
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const one of all) one.hidden = !one.querySelector("summary").textContent.toLowerCase().includes(wanted);
  });
}

function makeTips() {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  let on = null;
  const show = () => {
    const place = on?.getBoundingClientRect();
    tip.hidden = !place || place.bottom < 0 || place.top > innerHeight;
    if (tip.hidden) return;
    tip.textContent = on.dataset.tip;
    const left = Math.min(place.left, innerWidth - tip.offsetWidth - 8);
    const below = place.bottom + 6;
    tip.style.left = Math.max(8, left) + "px";
    tip.style.top = (below + tip.offsetHeight < innerHeight ? below : place.top - tip.offsetHeight - 6) + "px";
  };
  const pointAt = (node) => { on = node; show(); };
  for (const kind of ["mouseover", "focusin", "click"]) {
    document.addEventListener(kind, (event) => pointAt(event.target.closest?.("[data-tip]")));
  }
  document.addEventListener("scroll", show, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") pointAt(null); });
}

function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
}

document.addEventListener("DOMContentLoaded", () => {
  theme(chosen);
  document.getElementById("theme").addEventListener("click", () => {
    chosen = theme(THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length]);
    remembered(chosen);
  });
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll("form[data-table]").forEach(makeFilterable);
  document.querySelectorAll("input[data-search]").forEach(makeSearchable);
  makeTips();
  openTarget();
  addEventListener("hashchange", openTarget);
});
