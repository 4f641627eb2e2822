"use strict";
// Whatever people or models wrote goes into the page as `textContent`, never as markup.

const find = (id) => document.getElementById(id);
const conversations = new Map(); // name of a model -> messages so far, where its template has turns
const revealed = new Map(); // name of a side of a blind pair -> name of its model, once there was a vote
let models = [];
let running = [];

async function post(path, body, signal) {
  const headers = { "content-type": "application/json" };
  if (find("key").value) headers.authorization = `Bearer ${find("key").value}`;
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  if (response.ok) return response;
  if (response.status === 401) askForKey();
  const told = await response.json().catch(() => null);
  throw new Error(told?.error?.message ?? `the server answers with status ${response.status}`);
}

function askForKey() {
  find("key-field").hidden = false;
  find("settings").open = true;
}

async function begin() {
  const told = await (await post("/chat/models")).json();
  models = told.models;
  const { temperature, top_p, max_tokens } = told.settings;
  find("temperature").value = temperature;
  find("top-p").value = top_p ?? "";
  find("max-tokens").value = max_tokens;
  find("key-field").hidden ||= !find("key").value;
  for (const field of document.querySelectorAll(".votes")) field.hidden = !told.votes;
  find("turns").textContent = models.some((model) => model.takes_turns)
    ? "The conversation goes on with every message."
    : "Each message stands alone, as the models were trained.";
  const joint = models.map((model) => model.input_joint).find((text) => text?.trim());
  const how = joint ? ` An input goes below the instruction, after a line “${joint.trim()}”.` : "";
  const votes = told.votes ? " With “Blind” in the settings you can vote on answers before you see whose they are." : "";
  find("hint").textContent = `Your message goes to ${models.map((model) => model.name).join(" and ")}.${how}${votes}`;
}

function startAnew() {
  stop();
  conversations.clear();
  find("rounds").replaceChildren(find("hint"));
  find("hint").hidden = false;
  find("message").focus();
}

function stop() {
  for (const controller of running) controller.abort();
}

function request(model, text) {
  const before = model.takes_turns ? conversations.get(model.name) ?? [] : [];
  const temperature = Number(find("temperature").value);
  const body = {
    model: model.name,
    messages: [...before, { role: "user", content: text }],
    temperature,
    max_tokens: Number(find("max-tokens").value),
    seed: Math.floor(Math.random() * 2 ** 31),
  };
  if (find("top-p").value) body.top_p = Number(find("top-p").value);
  return body;
}

async function send() {
  const text = find("message").value.trim();
  if (!text || running.length || !find("composer").reportValidity()) return;
  if (!models.length) await begin();
  find("message").value = "";
  find("hint").hidden = true;
  const round = find("round").content.cloneNode(true).firstElementChild;
  round.querySelector(".said").textContent = text;
  find("rounds").append(round);
  running = models.map(() => new AbortController());
  showRunning();
  try {
    const pair = find("blind").checked ? await (await post("/chat/pair", {}, running[0].signal)).json() : null;
    // a blind pair stands alone: what a model said before would tell which one it is
    const asked = pair ? pair.sides.map((name, place) => ({ name, label: `Answer ${place + 1}` })) : models;
    const work = asked.map((model, place) => answer(model, request(model, text), round, running[place].signal, model === asked.at(-1)));
    window.scrollTo({ top: document.body.scrollHeight, behavior: "instant" });
    const ended = await Promise.all(work);
    if (pair) offerVote(pair, round, ended.every(Boolean));
  } catch (error) {
    showFault(round, error.message);
  } finally {
    running = [];
    showRunning();
  }
}

function showFault(round, message) {
  const told = document.createElement("p");
  told.className = "note";
  told.textContent = message;
  round.append(told);
}

function offerVote(pair, round, ended) {
  if (!ended) {
    showFault(round, "There is no vote on this pair, because an answer did not come to its end.");
    return;
  }
  const ballot = find("ballot").content.cloneNode(true).firstElementChild;
  const buttons = [...ballot.querySelectorAll("button")];
  for (const button of buttons) button.addEventListener("click", () => vote(pair, button.dataset.choice, round, ballot, buttons));
  round.append(ballot);
  follow();
}

async function vote({ pair, sides }, choice, round, ballot, buttons) {
  const status = ballot.querySelector("[role=status]");
  for (const button of buttons) button.disabled = true;
  try {
    const told = await (await post("/chat/vote", { pair, choice, voter: find("voter").value })).json();
    round.querySelectorAll(".answer").forEach((place, number) => {
      revealed.set(sides[number], told.models[number]);
      place.querySelector(".name").textContent = `Answer ${number + 1}: ${told.models[number]}`;
      place.classList.remove("blind");
    });
    const chosen = buttons.find((button) => button.dataset.choice === choice).textContent;
    for (const button of buttons) button.remove();
    status.textContent = `Your vote is kept: ${chosen.toLowerCase()}.`;
    find("message").focus();
  } catch (error) {
    for (const button of buttons) button.disabled = false;
    status.textContent = error.message;
  }
}

function follow() {
  const below = document.documentElement.scrollHeight - window.innerHeight - window.scrollY;
  if (below < 200) window.scrollTo({ top: document.body.scrollHeight, behavior: "instant" });
}

function showRunning() {
  find("send").hidden = running.length > 0;
  find("stop").hidden = running.length === 0;
}

// Returns whether the answer came to its end.
async function answer(model, body, round, signal, isLast) {
  const place = find("answer").content.cloneNode(true).firstElementChild;
  const [text, fault, facts] = [".text", ".fault", ".facts"].map((name) => place.querySelector(name));
  place.querySelector(".name").textContent = model.label ?? model.name;
  place.classList.toggle("last", isLast);
  place.classList.toggle("blind", model.label !== undefined);
  place.classList.add("writing");
  round.querySelector(".answers").append(place);
  const details = place.querySelector(".prompt");
  details.addEventListener("toggle", () => showPrompt(details, body), { once: true });
  let ended = false;
  const started = performance.now();
  try {
    const found = await read(await post("/v1/chat/completions", { ...body, stream: true, stream_options: { include_usage: true } }, signal), (piece) => {
      text.textContent += piece;
      follow();
    });
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const cut = found.reason === "length" ? ", cut at the longest length" : "";
    facts.textContent = `${found.tokens} tokens in ${seconds} s${cut}`;
    if (!text.textContent) facts.textContent += ", an empty answer";
    ended = true;
  } catch (error) {
    if (signal.aborted) facts.textContent = "stopped";
    else { fault.textContent = error.message; fault.hidden = false; }
  } finally {
    place.classList.remove("writing");
    follow();
    if (text.textContent && model.takes_turns) {
      conversations.set(model.name, [...body.messages, { role: "assistant", content: text.textContent }]);
    }
  }
  return ended;
}

async function read(response, take) {
  const found = { tokens: 0, reason: null };
  let waiting = "";
  for await (const chunk of pieces(response.body.getReader())) {
    const events = (waiting + chunk).split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") continue;
      const told = JSON.parse(data);
      if (told.error) throw new Error(told.error.message);
      found.tokens = told.usage?.completion_tokens ?? found.tokens;
      found.reason = told.choices[0]?.finish_reason ?? found.reason;
      take(told.choices[0]?.delta.content ?? "");
    }
  }
  return found;
}

async function* pieces(reader) {
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}

async function showPrompt(details, body) {
  const shown = details.querySelector("pre");
  try {
    const told = await (await post("/chat/prompt", { ...body, model: revealed.get(body.model) ?? body.model })).json();
    shown.textContent = told.text;
    details.querySelector("summary").textContent = `Prompt, ${told.tokens} tokens`;
  } catch (error) {
    shown.textContent = error.message;
  }
}

find("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
find("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
find("stop").addEventListener("click", stop);
find("anew").addEventListener("click", startAnew);
find("key").addEventListener("change", () => begin().catch(() => askForKey()));
begin().catch((error) => { find("hint").textContent = error.message; });
