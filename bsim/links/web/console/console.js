// The console: which card is looked at, what happens to it, and how the page looks.

import { Feed, get, post } from "./api.js";
import { Card } from "./card.js";
import { $, el, toast } from "./dom.js";
import { Phone } from "./phone.js";
import { Trace } from "./trace.js";

const phone = new Phone();
const card = new Card(phone);
const trace = new Trace();
let feed = null;

async function cards(chosen) {
  const found = (await get("/v1/cards")).cards;
  const pick = $("card");
  const before = chosen ?? pick.value;
  pick.replaceChildren(...found.map((one) => el("option", { value: one.id }, `${one.id} · ${one.name}`)));
  pick.disabled = !found.length;
  const now = found.find((one) => one.id === before) ?? found[0];
  if (now) {
    pick.value = now.id;
    look(now);
  } else link("no card yet", false);
}

function look(one) {
  if (card.card?.id === one.id) return;
  feed?.close();
  trace.start(one);
  card.show(one);
  phone.show(one).catch((fault) => toast(fault.message));
  feed = new Feed(one.id, take, (up) => link(up ? "live" : "no line to the server", up));
}

function take(events) {
  trace.take(events);
  for (const event of events) phone.take(event);
  card.soon();
}

function link(words, up) {
  $("link").textContent = words;
  $("link").classList.toggle("up", up);
}

function tabs() {
  const all = [...document.querySelectorAll("[role=tab]")];
  const show = (tab) => {
    for (const one of all) {
      const chosen = one === tab;
      one.setAttribute("aria-selected", String(chosen));
      one.tabIndex = chosen ? 0 : -1;
      $(one.getAttribute("aria-controls")).hidden = !chosen;
    }
  };
  for (const [at, tab] of all.entries()) {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = all[(at + step + all.length) % all.length];
      next.focus();
      show(next);
    });
  }
}

function views() {
  const buttons = [...document.querySelectorAll(".foot button")];
  const show = (name) => {
    document.body.dataset.view = name;
    for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.view === name));
    trace.soon();
  };
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.view));
  // Where one thing is in sight at a time, what the card asks comes first.
  document.addEventListener("asked", () => show("phone"));
}

function theme() {
  const set = (name) => {
    document.documentElement.dataset.theme = name;
    localStorage.setItem("bsim.theme", name);
  };
  const kept = localStorage.getItem("bsim.theme");
  if (kept) set(kept);
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    set(dark === "dark" ? "light" : "dark");
  });
}

function newCard() {
  const dialog = $("new-card");
  $("new").addEventListener("click", () => {
    $("new-fault").textContent = "";
    dialog.showModal();
  });
  $("new-cancel").addEventListener("click", () => dialog.close());
  $("new-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const options = Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
    try {
      const made = await post("/v1/cards", { ...options, handset: "web" });
      dialog.close();
      event.target.reset();
      await cards(made.id);
    } catch (fault) {
      $("new-fault").textContent = fault.message;
    }
  });
}

tabs();
views();
theme();
newCard();
$("card").addEventListener("change", () => cards($("card").value).catch((fault) => toast(fault.message)));
document.addEventListener("cards", () => cards().catch((fault) => toast(fault.message)));
cards().catch((fault) => link(fault.type === "NoToken" ? "this server wants a token: open it as …/#token=TEXT" : fault.message, false));
