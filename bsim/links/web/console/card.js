// The card: what it says of itself, and what an app, a tester or a curious visitor does with it.

import { ask, get, post } from "./api.js";
import { $, copy, el, toast } from "./dom.js";
import { asset, badge } from "./gallery.js";

const SELECT = "00A4040010A000000533C000FF860000000000054D";
const SHORT = (text) => (text.length > 30 ? `${text.slice(0, 16)}…${text.slice(-10)}` : text);

export class Card {
  constructor(phone) {
    this.phone = phone;
    this.card = null;
    this.assets = -1;
    const on = (id, work) => $(id).addEventListener("click", () => this.tried(work));
    on("reset", () => post(this.path("reset")));
    on("out", () => post(this.path(this.card.power === "removed" ? "insert" : "remove")));
    on("do-sign", () => this.sign());
    on("do-message", () => this.message());
    on("do-verify", () => this.asks("807C000000", "the BPIN was asked for on the phone"));
    on("do-change", () => this.asks("807E000000", "the phone asks for the BPIN, then twice for the new one"));
    on("fork", () => this.fork());
    for (const button of document.querySelectorAll("[data-coin]")) {
      button.addEventListener("click", () => this.tried(() => this.derive(Number(button.dataset.coin))));
    }
    for (const button of document.querySelectorAll("[data-rule]")) {
      button.addEventListener("click", () => this.tried(() => post(this.path("faults"), { rule: button.dataset.rule })));
    }
    this.form("fault-form", async (form) => {
      await post(this.path("faults"), { rule: form.rule.value });
      form.reset();
    });
    this.form("snapshot-form", async (form) => {
      await post(this.path("snapshots"), { name: form.elements.name.value.trim() });
      form.reset();
    });
    this.form("send-form", () => this.send());
  }

  path(rest) {
    return `/v1/cards/${this.card.id}/${rest}`;
  }

  form(id, work) {
    $(id).addEventListener("submit", (event) => {
      event.preventDefault();
      this.tried(() => work(event.target));
    });
  }

  async tried(work) {
    try {
      return await work();
    } catch (fault) {
      toast(fault.message);
      return undefined;
    }
  }

  show(card) {
    this.card = card;
    this.assets = -1;
    $("outcome").replaceChildren();
    $("answers").replaceChildren();
    this.soon();
  }

  // Many events in a row are one look at the card.
  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tried(() => this.refresh()), 120);
  }

  async refresh() {
    const { id } = this.card;
    const card = await get(`/v1/cards/${id}`);
    const state = card.power === "on" ? await get(`/v1/cards/${id}/state`) : null;
    const rules = (await get(`/v1/cards/${id}/faults`)).faults;
    if (this.card.id !== id) return;
    this.card = card;
    this.facts(card, state);
    this.slots(state?.slots ?? []);
    this.rules(rules);
    this.snapshots(card.snapshots);
    if (state && (state.assets ?? 0) !== this.assets) {
      this.gallery(state.assets ? (await get(`/v1/cards/${id}/assets`)).assets : []);
      this.assets = state.assets ?? 0;
    }
  }

  facts(card, state) {
    const gone = { off: "no power", removed: "out of its reader" }[card.power];
    const life = gone ?? state?.life_cycle ?? (state?.seed ? "has a seed" : "does not say");
    const tries = state?.tries == null ? "not told" : `${state.tries} left`;
    const fact = (name, value, mark = "") => el("div", {}, el("dt", {}, name), el("dd", { class: mark }, value));
    const low = state?.tries != null && state.tries < 3 ? "bad" : "";
    $("facts").replaceChildren(
      fact("State", life, gone ? "bad" : ""),
      fact("BPIN tries", tries, low),
      fact("Kind", card.profile ?? card.target),
      fact("ICCID", state?.iccid ?? "–"),
    );
    $("out").textContent = card.power === "removed" ? "Put in" : "Take out";
  }

  slots(slots) {
    $("count-keys").textContent = slots.length || "";
    const rows = slots.map((slot) =>
      el(
        "li",
        {},
        badge(slot.address ?? slot.public_key),
        el("span", { class: "who" }, el("strong", {}, `${slot.slot}  ${slot.coin}`), el("code", { title: slot.address ?? slot.public_key }, slot.address ?? SHORT(slot.public_key))),
        el("button", { type: "button", class: "quiet", "aria-label": `Copy the address of slot ${slot.slot}`, onclick: () => copy(slot.address ?? slot.public_key, "the address") }, "Copy"),
      ),
    );
    $("slots").replaceChildren(...(rows.length ? rows : [el("li", { class: "empty" }, "No keys yet.")]));
  }

  gallery(assets) {
    $("count-gallery").textContent = assets.length || "";
    $("gallery").replaceChildren(...(assets.length ? assets.map(asset) : [el("li", { class: "empty" }, "This card lists no collectibles.")]));
  }

  rules(rules) {
    $("count-faults").textContent = rules.length || "";
    const remove = (rule) => this.tried(() => ask("DELETE", this.path(`faults/${rule.id}`)));
    const rows = rules.map((rule) =>
      el("li", {}, el("code", {}, rule.rule), el("span", { class: "dim" }, `fired ${rule.fired}×`), el("button", { type: "button", class: "quiet", "aria-label": `Remove the fault ${rule.rule}`, onclick: () => remove(rule) }, "Remove")),
    );
    $("faults").replaceChildren(...(rows.length ? rows : [el("li", { class: "empty" }, "The card behaves.")]));
  }

  snapshots(names) {
    $("count-snapshots").textContent = names.length || "";
    const restore = (name) => this.tried(() => post(this.path("restore"), { name }));
    const rows = names.map((name) => el("li", {}, el("strong", {}, name), el("button", { type: "button", class: "quiet", "aria-label": `Restore ${name}`, onclick: () => restore(name) }, "Restore")));
    $("snapshots").replaceChildren(...(rows.length ? rows : [el("li", { class: "empty" }, "None yet. A snapshot keeps all that survives power loss.")]));
  }

  async transmit(apdu, level = "apdu") {
    return (await post(this.path("apdu"), { apdu, level })).response;
  }

  async wallet(apdu) {
    await this.transmit(SELECT);
    return this.transmit(apdu);
  }

  async derive(coin) {
    const response = await this.wallet(`80A8000205${coin.toString(16).padStart(8, "0")}01`);
    if (response !== "9000") toast(`the card answered ${response}`);
  }

  async asks(apdu, words) {
    const response = await this.wallet(apdu);
    this.tell(response === "9000" ? words : `the card answered ${response}`);
    this.phone.focus();
  }

  async account() {
    const call = async (method, params = []) => (await this.rpc(method, params)).result;
    const [first] = await call("eth_accounts");
    if (first) return first;
    await this.derive(60);
    return (await call("eth_accounts"))[0];
  }

  rpc(method, params) {
    return post(this.path("rpc"), { jsonrpc: "2.0", id: 1, method, params });
  }

  async sign() {
    const from = await this.account();
    const transaction = { from, to: "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045", value: "0x214e8348c4f0000", gas: "0x5208", nonce: "0x0", maxFeePerGas: "0x4a817c800", maxPriorityFeePerGas: "0x3b9aca00", chainId: "0x1", type: "0x2" };
    await this.signed("eth_signTransaction", [transaction], "The raw transaction, ready to be sent");
  }

  async message() {
    const from = await this.account();
    await this.signed("personal_sign", [`0x${[..."Hello from the bsim console"].map((one) => one.charCodeAt(0).toString(16)).join("")}`, from], "The signature");
  }

  async signed(method, params, words) {
    this.tell("Waiting for the user of the phone…");
    const answer = await this.rpc(method, params);
    if (answer.error) return this.tell(`${answer.error.message} (${answer.error.code})`, "", "bad");
    return this.tell(words, answer.result);
  }

  tell(words, value = "", mark = "") {
    const parts = [el("p", { class: mark }, words)];
    if (value) parts.push(el("code", { class: "result" }, value), el("button", { type: "button", class: "quiet", onclick: () => copy(value, "it") }, "Copy"));
    $("outcome").replaceChildren(...parts);
  }

  async send() {
    const answers = [];
    for (const line of $("apdus").value.split("\n")) {
      const apdu = line.replace(/\s/g, "");
      if (!apdu) continue;
      answers.push(el("code", {}, await this.transmit(apdu, $("level").value)));
    }
    $("answers").replaceChildren(...answers);
  }

  async fork() {
    const copied = await post(this.path("fork"));
    toast(`${copied.name} is card ${copied.id}`);
    document.dispatchEvent(new CustomEvent("cards"));
  }
}
