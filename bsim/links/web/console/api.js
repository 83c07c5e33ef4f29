// The server, as this page asks it. The token, if one is wanted, came in the address's fragment and stays in this tab.

const kept = "bsim.token";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(kept, given);
  history.replaceState(null, "", location.pathname);
}

export class Refused extends Error {
  constructor(type, message) {
    super(message);
    this.type = type;
  }
}

export async function ask(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem(kept);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const value = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Refused(value.error.type, value.error.message);
  return value;
}

export const get = (path) => ask("GET", path);
export const post = (path, body = {}) => ask("POST", path, body);

// The live feed of a card: `take` gets events, `state` whether there is a line. It calls again when the line breaks.
export class Feed {
  constructor(card, take, state) {
    Object.assign(this, { card, take, state, last: 0, closed: false, pause: 250 });
    this.open();
  }

  open() {
    const token = sessionStorage.getItem(kept);
    const place = `ws${location.protocol.slice(4)}//${location.host}/v1/cards/${this.card}/feed?after=${this.last}`;
    this.socket = new WebSocket(place, token ? ["bsim", `bsim.token.${token}`] : ["bsim"]);
    this.socket.onopen = () => {
      this.pause = 250;
      this.state(true);
    };
    this.socket.onmessage = (message) => {
      const events = JSON.parse(message.data);
      for (const event of events) if (event.n) this.last = event.n;
      this.take(events);
    };
    this.socket.onclose = () => {
      if (this.closed) return;
      this.state(false);
      this.timer = setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(this.pause * 2, 5000);
    };
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}
