"use strict";

// Search, filter and order the list of all rows; without scripts the list stands in file order.
const list = document.getElementById("rows");
const rows = Array.from(list.children);
const search = document.getElementById("search");
const filters = Array.from(document.querySelectorAll("#controls [data-filter]"));
const order = document.getElementById("order");
const count = document.getElementById("count");
const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

function number(row, key) {
  const value = row.dataset[key];
  return value === "" ? -Infinity : Number(value);
}

function update() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    // a chosen value begins with "=", so that an empty one differs from "all"
    const chosen = filters.every(({ value, dataset }) => value === "" || row.dataset[dataset.filter] === value.slice(1));
    row.hidden = !(chosen && words.every((word) => texts.get(row).includes(word)));
    shown += row.hidden ? 0 : 1;
  }
  const all = `${rows.length} ${rows.length === 1 ? "row" : "rows"}`;
  count.textContent = shown === rows.length ? all : `${shown} of ${all}`;
}

function sort() {
  const [key, direction] = order.value.split(" ");
  const sign = direction === "down" ? -1 : 1;
  const byNumber = (a, b) => number(a, "number") - number(b, "number");
  rows.sort((a, b) => sign * (number(a, key) - number(b, key)) || byNumber(a, b));
  list.append(...rows);
}

// A link to a category's rows leads to the first of them; here it filters by that category instead.
function showCategory(link) {
  search.value = "";
  for (const filter of filters) filter.value = filter.dataset.filter === "category" ? `=${link.dataset.category}` : "";
  update();
  document.getElementById("controls").scrollIntoView();
}

// A link to a row opens it, and shows it if it was filtered out.
function showRow() {
  const row = /^#row-\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (!row) return;
  row.hidden = false;
  row.querySelector("details").open = true;
  row.scrollIntoView();
}

for (const link of document.querySelectorAll("a[data-category]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab is to open
    event.preventDefault();
    showCategory(link);
  });
}
window.addEventListener("hashchange", showRow);
search.addEventListener("input", update);
for (const filter of filters) filter.addEventListener("change", update);
order.addEventListener("change", sort);
document.getElementById("controls").hidden = false;
update();
showRow();
