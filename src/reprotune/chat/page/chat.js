"use strict";
// Whatever people or models wrote goes into the page as `textContent`, never as markup.

const find = (id) => document.getElementById(id);
const conversations = new Map(); // name of a model -> messages so far, where its template has turns
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
  find("turns").textContent = models.some((model) => model.takes_turns)
    ? "The conversation goes on with every message."
    : "Each message stands alone, as the models were trained.";
  const joint = models.map((model) => model.input_joint).find((text) => text?.trim());
  const how = joint ? ` An input goes below the instruction, after a line “${joint.trim()}”.` : "";
  find("hint").textContent = `Your message goes to ${models.map((model) => model.name).join(" and ")}.${how}`;
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
  const work = models.map((model, place) => answer(model, request(model, text), round, running[place].signal));
  window.scrollTo({ top: document.body.scrollHeight, behavior: "instant" });
  await Promise.allSettled(work);
  running = [];
  showRunning();
}

function follow() {
  const below = document.documentElement.scrollHeight - window.innerHeight - window.scrollY;
  if (below < 200) window.scrollTo({ top: document.body.scrollHeight, behavior: "instant" });
}

function showRunning() {
  find("send").hidden = running.length > 0;
  find("stop").hidden = running.length === 0;
}

async function answer(model, body, round, signal) {
  const place = find("answer").content.cloneNode(true).firstElementChild;
  const [text, fault, facts] = [".text", ".fault", ".facts"].map((name) => place.querySelector(name));
  place.querySelector(".name").textContent = model.name;
  place.classList.toggle("last", model === models.at(-1));
  place.classList.add("writing");
  round.querySelector(".answers").append(place);
  const details = place.querySelector(".prompt");
  details.addEventListener("toggle", () => showPrompt(details, body), { once: true });
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
  } catch (error) {
    if (signal.aborted) facts.textContent = "stopped";
    else { fault.textContent = error.message; fault.hidden = false; }
  } finally {
    place.classList.remove("writing");
    follow();
    if (text.textContent) {
      conversations.set(model.name, [...body.messages, { role: "assistant", content: text.textContent }]);
    }
  }
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
    const told = await (await post("/chat/prompt", body)).json();
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
