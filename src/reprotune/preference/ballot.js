"use strict";
const { ballot, comparisons, stop } = document.body.dataset;
const pairs = Array.from(document.querySelectorAll("#pairs li"), (item) => ({
  id: item.dataset.pair,
  texts: Array.from(item.children, (part) => part.textContent),
}));
const find = (id) => document.getElementById(id);
const KEYS = { 1: "left", 2: "right", 0: "same", x: "both_bad", X: "both_bad" };
const PLACE = `reprotune-ballot-${ballot}`;

let voter = "";
let votes = []; // one for each pair seen, in the order of the page
let since = 0;

function keep() {
  try {
    localStorage.setItem(PLACE, JSON.stringify({ voter, votes }));
  } catch {
    find("unkept").hidden = false;
  }
}

// What another version of the page or another program left there is not taken over.
function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE));
    const fits = (vote, index) => vote.pair === pairs[index].id && Object.values(KEYS).includes(vote.choice);
    if (typeof found.voter === "string" && found.votes.length <= pairs.length && found.votes.every(fits)) return found;
  } catch {
    // nothing is kept
  }
  return { voter: "", votes: [] };
}

function logFactorial(n) {
  let sum = 0;
  for (let i = 2; i <= n; i++) sum += Math.log(i);
  return sum;
}

// How many of n decisive votes one model needs: B(k + 1, n - k + 1) 2^n >= stop. Null where even all n are too few.
function winsNeeded(n) {
  for (let k = Math.ceil(n / 2); k <= n; k++) {
    const evidence = logFactorial(k) + logFactorial(n - k) - logFactorial(n + 1) + n * Math.LN2;
    if (evidence >= Math.log(Number(stop))) return k;
  }
  return null;
}

function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function boundWords() {
  const decisive = votes.filter((vote) => vote.choice === "left" || vote.choice === "right").length;
  const each = Math.floor(decisive / Number(comparisons || 1));
  const needed = winsNeeded(each);
  const about = Number(comparisons) > 1 ? `, about ${each} for each of the ${comparisons} comparisons of two models` : "";
  const bound =
    needed === null
      ? "A winner cannot be told before the eighth, however one-sided they are."
      : `Of ${each}, one model would need ${needed} for the vote to be decided.`;
  return `${counted(decisive, "vote")} for either answer so far${about}. ${bound} Pairs with the same or two bad answers do not count here.`;
}

function fill(place, text) {
  place.textContent = text === "" ? "(no answer)" : text;
  place.classList.toggle("empty", text === "");
  place.scrollTop = 0;
}

function lines() {
  return votes.map((vote) => JSON.stringify({ ballot, pair: vote.pair, voter, choice: vote.choice, seconds: vote.seconds }) + "\n").join("");
}

function show(moveFocus) {
  const next = votes.length;
  const left = pairs.length - next;
  const over = left === 0;
  find("start").hidden = true;
  find("after").hidden = false;
  find("vote").hidden = over;
  find("end").hidden = !over;
  find("done").style.width = `${(100 * next) / Math.max(pairs.length, 1)}%`;
  find("progress").textContent = over ? `All ${counted(pairs.length, "pair")} voted on.` : `Pair ${next + 1} of ${pairs.length}, ${left} left.`;
  find("undo").disabled = next === 0;
  find("download").disabled = next === 0;
  find("lines").value = lines();
  find("bound").textContent = boundWords();
  if (!over) ["prompt", "first", "second"].forEach((id, index) => fill(find(id), pairs[next].texts[index]));
  if (moveFocus) {
    find(over ? "end-title" : "task-title").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  since = performance.now();
}

function vote(choice) {
  if (find("vote").hidden) return;
  const seconds = Math.round((performance.now() - since) / 10) / 100;
  votes.push({ pair: pairs[votes.length].id, choice, seconds });
  keep();
  show(true);
}

function undo() {
  if (find("after").hidden || votes.length === 0) return;
  votes.pop();
  keep();
  show(true);
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines()], { type: "application/x-ndjson" }));
  const who = voter.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "") || "voter";
  link.download = `votes-${ballot.slice(0, 8)}-${who}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

find("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  voter = find("voter").value.trim();
  if (!voter) {
    find("voter").focus();
    return;
  }
  keep();
  show(true);
});
for (const button of document.querySelectorAll("[data-choice]")) button.addEventListener("click", () => vote(button.dataset.choice));
find("undo").addEventListener("click", undo);
find("download").addEventListener("click", download);
document.addEventListener("keydown", (event) => {
  const typing = ["INPUT", "TEXTAREA"].includes(event.target.tagName);
  if (typing || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "u" || event.key === "U") undo();
  else if (Object.hasOwn(KEYS, event.key)) vote(KEYS[event.key]);
});
window.addEventListener("storage", (event) => {
  if (event.key === PLACE && voter) location.reload(); // two windows with one ballot would overwrite each other's votes
});

({ voter, votes } = kept());
if (voter) {
  find("voter").value = voter;
  show(false);
}
