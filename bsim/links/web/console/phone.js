// The phone: what the card asks its user is on the screen, and what the user does goes back. What is typed is kept nowhere.

import { ask, get, post } from "./api.js";
import { $, el, toast } from "./dom.js";

export class Phone {
  constructor() {
    this.card = null;
    this.dialogue = null;
    this.typed = "";
    this.until = 0;
    $("phone").addEventListener("keydown", (event) => this.key(event));
    $("script").addEventListener("change", () => this.follow($("script").value));
    setInterval(() => this.tick(), 1000);
    this.tick();
  }

  async show(card) {
    this.card = card;
    $("operator").textContent = card.reader ?? "BSIM";
    $("script").disabled = card.handset === "none";
    $("script").value = card.scripted ? ($("script").value || "right") : "";
    this.ask(null);
    // The feed may be quicker than this answer: what it has put on the screen stays there.
    const [open] = (await get(`/v1/cards/${card.id}/dialogues`)).dialogues;
    if (this.card === card && !this.dialogue && open) this.ask(open, 60);
  }

  take(event) {
    if (event.type === "dialogue" && event.state === "open") this.ask(event.waits ? event : null, event.expires_in, event);
    if (event.type === "dialogue" && event.state === "closed" && this.dialogue?.id === event.id) this.ask(null);
    if (event.type === "handset" && !event.scripted) $("script").value = "";
  }

  ask(dialogue, seconds = 0, seen = dialogue) {
    if (dialogue && this.dialogue?.id === dialogue.id) return;
    this.dialogue = dialogue;
    this.typed = "";
    this.until = Date.now() + seconds * 1000;
    this.draw(seen);
    if (dialogue) document.dispatchEvent(new CustomEvent("asked"));
  }

  draw(seen) {
    const screen = $("screen");
    const dialogue = this.dialogue;
    document.body.classList.toggle("asked", Boolean(dialogue));
    if (!dialogue) screen.replaceChildren(...this.idle(seen));
    else if (dialogue.kind === "GET_INPUT") screen.replaceChildren(...this.keypad(dialogue));
    else screen.replaceChildren(...this.page(dialogue));
    screen.classList.toggle("lit", Boolean(dialogue));
    this.tick();
  }

  idle(seen) {
    const bare = this.card?.handset === "none";
    const words = bare ? "This card is in no phone" : seen ? "A script answered" : "Nothing is asked";
    const more = bare ? "Whoever drives it serves 91xx." : seen ? seen.text : "When the card wants its user, it is shown here.";
    return [el("div", { class: "idle" }, el("strong", {}, words), el("p", {}, more))];
  }

  keypad(dialogue) {
    const dots = el("div", { class: "dots", id: "dots", role: "img", "aria-label": "nothing typed" });
    const keys = [..."123456789", "⌫", "0", "OK"].map((key) => this.button(key, dialogue));
    return [
      this.words(dialogue.text),
      dots,
      el("div", { class: "keys", role: "group", "aria-label": "Keypad" }, ...keys),
      this.cancel(),
      this.countdown(),
    ];
  }

  button(key, dialogue) {
    const names = { "⌫": "Delete", OK: "OK" };
    const press = () => this.press(key, dialogue);
    return el("button", { type: "button", class: key === "OK" ? "key main" : "key", "aria-label": names[key] ?? key, onclick: press }, key);
  }

  press(key, dialogue = this.dialogue) {
    if (key === "OK") {
      if (this.typed.length < dialogue.min) return toast(`${dialogue.min} digits are wanted`);
      return this.answer({ text: this.typed });
    }
    this.typed = key === "⌫" ? this.typed.slice(0, -1) : (this.typed + key).slice(0, dialogue.max);
    const dots = $("dots");
    const count = Math.max(dialogue.min, this.typed.length);
    dots.replaceChildren(
      ...Array.from({ length: count }, (_, at) => el("span", { class: at < this.typed.length ? "full" : "" }, dialogue.hidden ? "" : (this.typed[at] ?? ""))),
    );
    dots.setAttribute("aria-label", `${this.typed.length} of ${dialogue.min} typed`);
    return undefined;
  }

  page(dialogue) {
    const yes = dialogue.kind === "GET_INKEY";
    const buttons = yes
      ? [el("button", { type: "button", class: "deny", onclick: () => this.answer({ action: "no" }) }, "Deny"), el("button", { type: "button", class: "main", onclick: () => this.answer({ action: "yes" }) }, "Confirm")]
      : [el("button", { type: "button", class: "main", onclick: () => this.answer({ action: "ok" }) }, "Next")];
    return [this.words(dialogue.text), !dialogue.text.includes("\n") && el("span", { class: "gap" }), el("div", { class: "decide" }, ...buttons), this.cancel(), this.countdown()].filter(Boolean);
  }

  // A summary has its title first, then "Label: text"; what goes on in the next line is indented.
  words(text) {
    const [title, ...lines] = text.split("\n");
    const rows = [];
    for (const line of lines) {
      const cut = line.indexOf(": ");
      if (cut > 0 && !line.startsWith(" ")) rows.push(pair(line.slice(0, cut), line.slice(cut + 2)));
      else if (rows.length && line.startsWith(" ")) rows.at(-1).lastChild.append(`\n${line.trim()}`);
      else rows.push(el("div", {}, el("span", { class: "value" }, line)));
    }
    return el("div", { class: rows.length ? "words" : "words short", tabindex: rows.length ? "0" : "-1" }, el("h3", {}, title), ...rows);
  }

  cancel() {
    return el("button", { type: "button", class: "cancel", onclick: () => this.answer({ action: "cancel" }) }, "Cancel");
  }

  countdown() {
    return el("p", { class: "countdown", id: "countdown", "aria-live": "off" });
  }

  async answer(body) {
    const { dialogue, card } = this;
    this.typed = "";
    try {
      const left = await post(`/v1/cards/${card.id}/dialogues/${dialogue.id}`, body);
      if (this.dialogue === dialogue) this.ask(left.dialogues[0] ?? null, 60);
      if (this.dialogue) this.focus();
    } catch (fault) {
      toast(fault.message);
      if (fault.type === "NoSuchDialogue" && this.dialogue === dialogue) this.ask(null);
    }
  }

  focus() {
    $("screen").querySelector("button.main, button")?.focus({ preventScroll: true });
  }

  async follow(script) {
    try {
      await ask("PUT", `/v1/cards/${this.card.id}/script`, { script: script || null });
      if (script) this.ask(null);
    } catch (fault) {
      toast(fault.message);
    }
  }

  key(event) {
    if (this.dialogue?.kind !== "GET_INPUT" || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const named = { Backspace: "⌫", Enter: "OK" }[event.key] ?? event.key;
    const onCancel = event.target.classList?.contains("cancel") && event.key === "Enter";
    if (onCancel || !/^(\d|⌫|OK)$/.test(named)) return;
    event.preventDefault();
    this.press(named);
  }

  tick() {
    $("clock").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const left = Math.ceil((this.until - Date.now()) / 1000);
    const shown = $("countdown");
    if (shown) shown.textContent = left > 0 ? `the phone gives up in ${left} s` : "";
  }
}

function pair(label, value) {
  return el("div", { class: label.length + value.length < 30 ? "pair" : "" }, el("span", { class: "label" }, label), el("span", { class: "value" }, value));
}
