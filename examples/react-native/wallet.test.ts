/** The app's own code against a card: derive, export, verify, sign. The signature is judged by @noble/curves. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { secp256k1 } from "@noble/curves/secp256k1";

import { BridgeError, HttpBridge } from "./bridge.js";
import { startServer, type TestServer } from "./server.js";
import { CardError, ETHEREUM, Wallet, WALLET_AID } from "./wallet.js";

const HASH = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08";
const QUICK = { tries: 40, milliseconds: 25 };

let server: TestServer;

before(async () => {
  server = await startServer("--cards", "3", "--handset", "right@100ms");
});

after(() => server.stop());

test("derive, export, verify, sign", async () => {
  const wallet = new Wallet(new HttpBridge(server.http), QUICK);
  assert.match(await wallet.connect(), /9000$/);
  await wallet.deriveKey(ETHEREUM);
  await wallet.deriveKey(501, 2);
  const [ethereum, solana] = await wallet.exportKeys();
  assert.ok(ethereum && solana);
  assert.deepEqual([ethereum.coinType, ethereum.slot, ethereum.algorithm], [60, 1, 1]);
  assert.equal(ethereum.publicKey.length, 130);
  assert.equal(solana.publicKey.length, 64);
  await wallet.verifyBpin();
  const der = await wallet.sign(ETHEREUM, ethereum.slot, HASH); // 6982 until the BPIN is typed
  const signature = secp256k1.Signature.fromDER(der.toLowerCase());
  assert.ok(secp256k1.verify(signature, HASH.toLowerCase(), ethereum.publicKey.toLowerCase()));
  await wallet.disconnect();
});

test("a worker has a card of its own", async () => {
  const wallet = new Wallet(new HttpBridge(server.http, { card: server.cards[1] }), QUICK);
  await wallet.connect();
  assert.deepEqual(await wallet.exportKeys(), []);
  for (let slot = 1; slot <= 20; slot += 1) {
    await wallet.deriveKey(ETHEREUM);
  }
  assert.equal((await wallet.exportKeys()).length, 20); // six segments
  await wallet.disconnect();
});

test("the Android side tells of no other status word than 9000 and 6300", async () => {
  const card = server.cards[2];
  const plain = new Wallet(new HttpBridge(server.http, { card }), { tries: 1, milliseconds: 0 });
  await plain.connect();
  await assert.rejects(plain.sign(ETHEREUM, 1, HASH), (error: CardError) => error.sw === "6982");
  await plain.disconnect();
  const android = new Wallet(new HttpBridge(server.http, { card, androidStatusWords: true }), { tries: 1, milliseconds: 0 });
  await android.connect();
  await assert.rejects(android.sign(ETHEREUM, 1, HASH), (error: CardError) => error.sw === "A000");
  await android.disconnect();
});

test("what Android throws", async () => {
  const bridge = new HttpBridge(server.http);
  const kind = (name: string) => (error: BridgeError) => error.kind === name;
  await assert.rejects(bridge.open("A0000000030000FF"), kind("NoSuchElementException"));
  await bridge.open(WALLET_AID);
  await assert.rejects(bridge.transmit(`00A4040010${WALLET_AID}`), kind("SecurityException"));
  await bridge.close();
  await assert.rejects(bridge.transmit("00CA000002"), kind("IllegalStateException"));
});
