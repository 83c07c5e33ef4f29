/**
 * The native module of a wallet app, over HTTP: what the app's Android side does with OMAPI, done by `bsim test-server`.
 *
 * In tests on a computer, and in an emulator, it takes the place of `NativeModules.YourBsimModule`.
 */

/** What the JavaScript side asks of the native side: three methods, hexadecimal strings. */
export interface NativeBridge {
  /** Open a logical channel by selecting an application; answers what SELECT answered. */
  open(aid: string): Promise<string>;
  /** Carry one APDU; answers data and status word. */
  transmit(apdu: string): Promise<string>;
  /** Close the channel. */
  close(): Promise<void>;
}

/** What Android would throw, by the name of its exception: NoSuchElementException, SecurityException, ... */
export class BridgeError extends Error {
  constructor(readonly kind: string, message: string) {
    super(message);
    this.name = kind;
  }
}

export interface BridgeOptions {
  /** The card's number, as the server's ready line or POST /v1/cards tells it. The default is the card in SIM1. */
  card?: string;
  /** Hand on 9000 and 6300 alone, and make "A000" of any other status word, as the real app's Android side does. */
  androidStatusWords?: boolean;
}

const PASSED_ON = new Set(["9000", "6300"]);

export class HttpBridge implements NativeBridge {
  private session: string | null = null;
  private channel: number | null = null;

  constructor(private readonly server: string, private readonly options: BridgeOptions = {}) {}

  async open(aid: string): Promise<string> {
    await this.close();
    const where = this.options.card === undefined ? { reader: "SIM1" } : { card: this.options.card };
    this.session = (await this.call("POST", "/v1/sessions", where)).session as string;
    const opened = await this.call("POST", `/v1/sessions/${this.session}/channels`, { aid });
    if (opened.channel === null) {
      throw new BridgeError("NoChannelException", "the card has no logical channel left");
    }
    this.channel = opened.channel as number;
    return opened.select_response as string;
  }

  async transmit(apdu: string): Promise<string> {
    if (this.session === null || this.channel === null) {
      throw new BridgeError("IllegalStateException", "open a channel first");
    }
    const path = `/v1/sessions/${this.session}/channels/${this.channel}/transmit`;
    const { response, sw } = (await this.call("POST", path, { apdu })) as { response: string; sw: string };
    return this.options.androidStatusWords && !PASSED_ON.has(sw) ? "A000" : response;
  }

  async close(): Promise<void> {
    const session = this.session;
    this.session = this.channel = null;
    if (session !== null) {
      await this.call("DELETE", `/v1/sessions/${session}`);
    }
  }

  private async call(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const content = body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(this.server + path, { method, ...content });
    const text = await answer.text();
    const value = text === "" ? {} : JSON.parse(text);
    if (!answer.ok) {
      throw new BridgeError(value.error?.type ?? "IOException", value.error?.message ?? `HTTP ${answer.status}`);
    }
    return value;
  }
}
