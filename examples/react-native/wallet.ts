/** A wallet app's BSIM module, cut down to what a first signature needs. Its bytes are those the real card takes. */

import type { NativeBridge } from "./bridge.js";

export const WALLET_AID = "A000000533C000FF860000000000054D";
export const ETHEREUM = 60;

export interface Key {
  coinType: number;
  slot: number;
  algorithm: number;
  /** Hexadecimal: an uncompressed point (65 bytes), or an Ed25519 key (32 bytes). */
  publicKey: string;
}

/** The card refused; `sw` is its status word. */
export class CardError extends Error {
  constructor(readonly sw: string, what: string) {
    super(`${what}: the card answered ${sw}`);
  }
}

export interface Patience {
  /** How often SIGN is tried while the user types the BPIN on the phone. */
  tries: number;
  milliseconds: number;
}

export class Wallet {
  constructor(
    private readonly native: NativeBridge,
    private readonly patience: Patience = { tries: 30, milliseconds: 1000 },
  ) {}

  connect(): Promise<string> {
    return this.native.open(WALLET_AID);
  }

  async deriveKey(coinType: number, algorithm = 1): Promise<void> {
    await this.send("DERIVE KEY", `80A8000205${hex(coinType, 4)}${hex(algorithm, 1)}`);
  }

  /** The keys of all slots: one TLV stream in segments of 256 bytes, 6300 while there is more. */
  async exportKeys(): Promise<Key[]> {
    let stream = "";
    let answer = await this.native.transmit("80C8000000");
    while (answer.endsWith("6300")) {
      stream += answer.slice(0, -4);
      answer = await this.native.transmit("80C8000100");
    }
    return [...keys(stream + data("EXPORT PUBKEYS", answer))];
  }

  /** Have the card ask its user for the BPIN. It answers before the user has typed. */
  async verifyBpin(): Promise<void> {
    await this.send("VERIFY BPIN", "807C000000");
  }

  /** Sign a hash of 32 bytes; answers DER. Tries again while the user types. */
  async sign(coinType: number, slot: number, hash: string): Promise<string> {
    const apdu = `80AC000025${hex(coinType, 4)}${hex(slot, 1)}${hash}`;
    for (let left = this.patience.tries; ; left -= 1) {
      const answer = await this.native.transmit(apdu);
      if ((answer !== "6982" && answer !== "A000") || left <= 1) {
        return data("SIGN", answer);
      }
      await new Promise((resolve) => setTimeout(resolve, this.patience.milliseconds));
    }
  }

  disconnect(): Promise<void> {
    return this.native.close();
  }

  private async send(what: string, apdu: string): Promise<string> {
    return data(what, await this.native.transmit(apdu));
  }
}

function data(what: string, answer: string): string {
  const sw = answer.slice(-4);
  // 91xx: a proactive command waits. The phone's modem fetches it, and the app counts the operation as done.
  if (sw !== "9000" && !sw.startsWith("91")) {
    throw new CardError(sw, what);
  }
  return answer.slice(0, -4);
}

/** Each C2 object: coin type (4) | slot | algorithm | public key, an Ed25519 key with its length before it. */
function* keys(stream: string): Generator<Key> {
  for (let at = 0; at < stream.length; ) {
    const end = at + 4 + 2 * parseInt(stream.slice(at + 2, at + 4), 16);
    const value = stream.slice(at + 4, end);
    const key = value.slice(12);
    const prefixed = parseInt(key.slice(0, 2), 16) === key.length / 2 - 1;
    yield {
      coinType: parseInt(value.slice(0, 8), 16),
      slot: parseInt(value.slice(8, 10), 16),
      algorithm: parseInt(value.slice(10, 12), 16),
      publicKey: prefixed ? key.slice(2) : key,
    };
    at = end;
  }
}

function hex(value: number, bytes: number): string {
  return value.toString(16).toUpperCase().padStart(2 * bytes, "0");
}
