// The trace: as many lines as there are, of which only those in sight are in the page.

import { ask } from "./api.js";
import { $, copy, el, toast } from "./dom.js";

const ROW = 30;
const MOST = 50000;

export class Trace {
  constructor() {
    this.all = [];
    this.shown = [];
    this.held = [];
    this.chosen = -1;
    this.paused = false;
    this.dropped = 0;
    this.follow = true;
    this.card = null;
    this.box = $("lines");
    this.pad = $("pad");
    this.box.addEventListener("scroll", () => {
      this.follow = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - ROW;
      this.soon();
    });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("click", (event) => {
      const row = event.target.closest("[data-at]");
      if (row) this.choose(Number(row.dataset.at));
    });
    new ResizeObserver(() => this.soon()).observe(this.box);
    $("search").addEventListener("input", () => this.refilter());
    $("filter").addEventListener("change", () => this.refilter());
    $("pause").addEventListener("click", () => this.hold(!this.paused));
    $("copy").addEventListener("click", () => copy(this.text(), "the lines in view"));
    $("export").addEventListener("click", () => this.save());
    $("clear").addEventListener("click", () => this.clear());
  }

  start(card) {
    Object.assign(this, { card, all: [], held: [], chosen: -1, dropped: 0, follow: true });
    this.hold(false);
    this.refilter();
  }

  take(events) {
    for (const event of events) if (event.type === "dropped") this.dropped += event.count;
    const lines = events.filter((event) => event.n).map(lined);
    if (this.paused) {
      this.held.push(...lines);
      this.tell();
      return;
    }
    this.all.push(...lines);
    if (this.all.length > MOST) {
      this.all.splice(0, this.all.length - MOST);
      this.refilter();
      return;
    }
    const fits = this.fits();
    this.shown.push(...lines.filter(fits));
    this.soon();
  }

  fits() {
    const words = $("search").value.trim().toLowerCase();
    const filter = $("filter").value;
    return (line) => (!filter || (filter === "refused" ? line.refused : line.event.type === filter)) && (!words || line.find.includes(words));
  }

  refilter() {
    this.shown = this.all.filter(this.fits());
    this.chosen = -1;
    $("detail").hidden = true;
    this.soon();
  }

  hold(paused) {
    this.paused = paused;
    $("pause").setAttribute("aria-pressed", String(paused));
    $("pause").textContent = paused ? "Go on" : "Pause";
    if (!paused && this.held.length) {
      const held = this.held;
      this.held = [];
      this.all.push(...held);
      this.refilter();
    }
    this.tell();
  }

  soon() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  draw() {
    const { box, shown, pad } = this;
    pad.style.height = `${shown.length * ROW}px`;
    if (this.follow) box.scrollTop = box.scrollHeight;
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, first + Math.ceil(box.clientHeight / ROW) + 8);
    const rows = [];
    for (let at = first; at < last; at += 1) rows.push(this.row(shown[at], at));
    pad.replaceChildren(...rows);
    if (this.chosen >= first && this.chosen < last) box.setAttribute("aria-activedescendant", `line-${this.chosen}`);
    else box.removeAttribute("aria-activedescendant");
    this.tell();
  }

  row(line, at) {
    const chosen = at === this.chosen;
    const row = el(
      "div",
      { class: `row ${line.kind}${chosen ? " chosen" : ""}`, role: "option", id: `line-${at}`, "data-at": at, "aria-selected": String(chosen), "aria-posinset": at + 1, "aria-setsize": this.shown.length },
      el("span", { class: "at" }, line.at),
      el("span", { class: "name" }, line.name),
      el("span", { class: "hex" }, line.hex),
      el("span", { class: "sw" }, line.sw),
      el("span", { class: "meaning" }, line.meaning),
    );
    row.style.transform = `translateY(${at * ROW}px)`;
    return row;
  }

  tell() {
    const count = this.shown.length;
    const parts = [`${count.toLocaleString("en")} ${count === 1 ? "line" : "lines"}`];
    this.box.classList.toggle("none", !this.all.length);
    if (this.held.length) parts.push(`${this.held.length} held back`);
    if (this.dropped) parts.push(`${this.dropped} missed`);
    $("shown").textContent = parts.join(", ");
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps && this.shown.length) {
      event.preventDefault();
      const from = this.chosen < 0 ? this.shown.length - 1 : this.chosen;
      this.choose(Math.max(0, Math.min(this.shown.length - 1, from + steps[event.key])));
    }
    if (event.key === "Escape") this.choose(-1);
  }

  choose(at) {
    this.chosen = at;
    const top = at * ROW;
    if (at >= 0 && top < this.box.scrollTop) this.box.scrollTop = top;
    if (at >= 0 && top + ROW > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + ROW - this.box.clientHeight;
    this.follow = at < 0 && this.follow;
    $("detail").hidden = at < 0;
    if (at >= 0) $("detail").replaceChildren(...detail(this.shown[at].event));
    this.soon();
  }

  text() {
    return this.shown.map(({ at, name, hex, sw, meaning }) => [at, name, hex, sw, meaning].filter(Boolean).join("  ")).join("\n");
  }

  save() {
    const body = this.shown.map((line) => JSON.stringify(line.event)).join("\n");
    const place = URL.createObjectURL(new Blob([body, "\n"], { type: "application/x-ndjson" }));
    const link = el("a", { href: place, download: `bsim-card-${this.card.id}.ndjson` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(place), 1000);
  }

  async clear() {
    try {
      await ask("DELETE", `/v1/cards/${this.card.id}/trace`);
      this.all = [];
      this.held = [];
      this.refilter();
    } catch (fault) {
      toast(fault.message);
    }
  }
}

// What a line shows of an event, and by what it is found.
function lined(event) {
  const line = { event, at: event.at.toFixed(3), name: event.name || event.type, hex: "", sw: "", meaning: "", kind: "plain", refused: false };
  if (event.type === "exchange") {
    Object.assign(line, { name: event.name || "?", hex: event.command, sw: event.sw, meaning: event.meaning, refused: !event.ok, kind: event.ok ? "done" : "refused" });
  } else if (event.type === "dialogue") {
    const ended = event.result === null ? "power went" : event.result?.toLowerCase().replaceAll("_", " ");
    Object.assign(line, { name: "phone", kind: "asks", hex: event.text.replaceAll("\n", " · "), sw: event.state === "open" ? "asks" : "", meaning: ended ?? event.kind.toLowerCase().replaceAll("_", " ") });
  } else if (event.type === "lost") Object.assign(line, { hex: event.command, sw: event.lost, kind: "refused", refused: true });
  else if (event.type === "reset") Object.assign(line, { name: "power on", hex: event.atr, meaning: "answer to reset" });
  else line.meaning = event.power ?? event.name ?? (event.count === undefined ? "" : `${event.count} in force`);
  line.find = `${line.name} ${line.hex} ${line.sw} ${line.meaning} ${event.response ?? ""}`.toLowerCase();
  return line;
}

function detail(event) {
  const parts = [el("h3", {}, event.title ?? event.text ?? event.type)];
  const list = el("dl", { class: "fields" });
  const add = (name, value, deep = 0) => list.append(el("dt", { class: `deep${deep}` }, name), el("dd", {}, value));
  const fields = (found, deep) => {
    for (const field of found ?? []) {
      add(field.name, [field.parts ? "" : field.hex, field.meaning].filter(Boolean).join("  "), Math.min(deep, 3));
      fields(field.parts, deep + 1);
    }
  };
  if (event.command) add("command", event.command);
  fields(event.fields, 1);
  if (event.response) add("response", event.response);
  fields(event.response_fields, 1);
  if (event.meaning) add("status", `${event.sw}  ${event.meaning}`);
  if (event.took !== undefined) add("took", `${(event.took * 1000).toFixed(2)} ms`);
  if (event.channel) add("channel", String(event.channel));
  parts.push(list);
  return parts;
}
