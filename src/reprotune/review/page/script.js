"use strict";

// Search, filter and order the list of all rows; without scripts the list stands in file order.
const list = document.getElementById("rows");
const rows = Array.from(list.children);
const search = document.getElementById("search");
const category = document.getElementById("category");
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
    const inCategory = category.value === "" || row.dataset.category === category.value.slice(1);
    row.hidden = !(inCategory && words.every((word) => texts.get(row).includes(word)));
    shown += row.hidden ? 0 : 1;
  }
  count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
}

function sort() {
  const [key, direction] = order.value.split(" ");
  const sign = direction === "down" ? -1 : 1;
  const byNumber = (a, b) => number(a, "number") - number(b, "number");
  rows.sort((a, b) => sign * (number(a, key) - number(b, key)) || byNumber(a, b));
  list.append(...rows);
}

search.addEventListener("input", update);
category.addEventListener("change", update);
order.addEventListener("change", sort);
document.getElementById("controls").hidden = false;
update();
