"use strict";

// A click on the head of a column sorts the table by it; without scripts it stands with the best trials first.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);

  function sort(column) {
    const head = heads[column];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.key;
    const compare = (a, b) => {
      const [one, two] = [key(a), key(b)];
      if (one === "" || two === "") return (one === "") - (two === ""); // what was not measured stays last
      return (down ? -1 : 1) * (Number(one) - Number(two));
    };
    body.append(...Array.from(body.rows).sort(compare));
  }

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
}

// A click on a line of a chart, or the number of a trial, marks the trial everywhere; another click takes that back.
function mark(trial) {
  for (const item of document.querySelectorAll("[data-trial]")) {
    item.classList.toggle("marked", item.dataset.trial === trial && !item.classList.contains("marked"));
  }
}

for (const item of document.querySelectorAll("[data-trial]")) {
  item.addEventListener("click", () => mark(item.dataset.trial));
}
