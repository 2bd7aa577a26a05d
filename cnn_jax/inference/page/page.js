"use strict";
const at = (id) => document.getElementById(id);
let limits = { max_bytes: Infinity };
let latest = 0;

function say(text, isError = false) {
  if (isError) at("result").hidden = true; // it is of an earlier image
  at("state").textContent = text;
  at("state").className = isError ? "error" : "";
}

function choose(rows, buttons, chosen) {
  buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
  const map = rows[chosen].map;
  at("map").hidden = !map || !at("shown").checked;
  if (map) at("map").src = map;
  at("shown").onchange = () => choose(rows, buttons, chosen);
}

function rowOf(row) {
  const button = document.createElement("button");
  const line = document.createElement("div");
  line.className = "line";
  for (const text of [row.class, (100 * row.probability).toFixed(1) + " %"]) {
    const part = document.createElement("span");
    part.textContent = text;
    line.append(part);
  }
  const bar = document.createElement("meter");
  bar.value = row.probability;
  button.append(line, bar);
  return button;
}

function show(answer) {
  at("image").onload = () =>
    at("picture").classList.toggle("small", at("image").naturalWidth < 128);
  at("image").src = answer.image;
  at("top").replaceChildren();
  at("result").hidden = false;
  document.querySelector("figcaption").hidden = !answer.stage;
  at("stage").textContent = answer.stage ? " at " + answer.stage : "";
  at("map").hidden = true;
  if (answer.top === undefined) {
    const item = document.createElement("li");
    item.textContent = answer.value.toPrecision(4) + " " + answer.unit;
    at("top").append(item);
    return;
  }
  const buttons = answer.top.map(rowOf);
  buttons.forEach((button, i) => {
    button.onclick = () => choose(answer.top, buttons, i);
    const item = document.createElement("li");
    item.append(button);
    at("top").append(item);
  });
  choose(answer.top, buttons, 0);
}

async function send(file) {
  if (!file) return;
  if (file.size > limits.max_bytes) {
    say("This file is too large: " + (file.size / 1e6).toFixed(0) + " MB.", true);
    return;
  }
  const own = ++latest;
  say("Looking ...");
  try {
    const reply = await fetch("/predict", {
      method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" },
    });
    const answer = await reply.json();
    if (own !== latest) return; // a later image was dropped
    if (!reply.ok) {
      say(answer.error, true);
      return;
    }
    say("");
    show(answer);
  } catch {
    if (own === latest) say("The server does not answer: is it still running?", true);
  }
}

fetch("/about").then((reply) => reply.json()).then((about) => {
  limits = about;
  at("net").textContent = about.net;
  at("limits").textContent = ", up to " + (about.max_bytes / 1e6).toFixed(0) + " MB and " +
    (about.max_pixels / 1e6).toFixed(0) + " million pixels";
}).catch(() => {});
at("file").onchange = () => { send(at("file").files[0]); at("file").value = ""; };
at("drop").onkeydown = (event) => { if (event.key === "Enter") at("file").click(); };
addEventListener("dragover", (event) => { event.preventDefault(); at("drop").className = "over"; });
addEventListener("dragleave", () => { at("drop").className = ""; });
addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").className = "";
  send(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => send(event.clipboardData.files[0]));
