// ethers, viem and js-conflux-sdk with the card as remote signer: each signs, and each other's arithmetic verifies.
// node rpc.mjs URL

import assert from "node:assert/strict";
import { JsonRpcProvider, Transaction, verifyMessage, verifyTypedData } from "ethers";
import { createWalletClient, http, parseTransaction, recoverTransactionAddress, verifyMessage as viemVerify, verifyTypedData as viemVerifyTyped } from "viem";
import { mainnet } from "viem/chains";
import { address as cfx, Conflux, format, PersonalMessage, sign, Transaction as CoreTransaction } from "js-conflux-sdk";

const url = process.argv[2];
const domain = { name: "Bazaar", version: "1", chainId: 1 };
const types = { Order: [{ name: "item", type: "string" }, { name: "price", type: "uint256" }] };
const order = { item: "Ink lotus", price: 12345678901234567890n };
const to = "0x3535353535353535353535353535353535353535";

async function withEthers() {
  const provider = new JsonRpcProvider(url, 1, { staticNetwork: true });
  const signer = await provider.getSigner();
  const address = await signer.getAddress();
  assert.equal(verifyMessage("hello", await signer.signMessage("hello")), address);
  assert.equal(verifyTypedData(domain, types, order, await signer.signTypedData(domain, types, order)), address);
  const raw = await provider.send("eth_signTransaction", [
    { from: address, to, value: "0x1", gas: "0x5208", nonce: "0x3", gasPrice: "0x4a817c800", chainId: "0x1" },
  ]);
  const signed = Transaction.from(raw);
  assert.deepEqual([signed.from, signed.to, signed.nonce, signed.value], [address, to, 3, 1n]);
  provider.destroy();
  return address;
}

async function withViem(address) {
  const client = createWalletClient({ account: address, chain: mainnet, transport: http(url) });
  assert.deepEqual(await client.getAddresses(), [address]);
  assert.equal(await client.getChainId(), 1);
  const message = await client.signMessage({ message: "hello" });
  assert.ok(await viemVerify({ address, message: "hello", signature: message }));
  const typed = { domain, types, primaryType: "Order", message: order };
  assert.ok(await viemVerifyTyped({ address, ...typed, signature: await client.signTypedData(typed) }));
  const serializedTransaction = await client.signTransaction({
    to, value: 5n, gas: 21000n, nonce: 4, maxFeePerGas: 20000000000n, maxPriorityFeePerGas: 1n, type: "eip1559",
  });
  assert.equal(await recoverTransactionAddress({ serializedTransaction }), address);
  assert.equal(parseTransaction(serializedTransaction).value, 5n);
}

async function withConflux() {
  const conflux = new Conflux({ url, networkId: 1029 });
  const ask = (method, ...params) => conflux.request({ method, params });
  const [address] = await ask("cfx_accounts");
  const raw = await ask("cfx_signTransaction", {
    from: address, to: address, value: "0x1", gas: "0x5208", gasPrice: "0x1", nonce: "0x0", storageLimit: "0x0",
    epochHeight: "0x1", chainId: "0x405", data: "0x",
  });
  const signer = CoreTransaction.decodeRaw(raw).recover();
  assert.equal(cfx.encodeCfxAddress(sign.publicKeyToAddress(format.hexBuffer(signer)), 1029), address);
  const signature = await ask("personal_sign", "0x68656c6c6f", address);
  const key = PersonalMessage.recover(signature, "0x68656c6c6f");
  assert.equal(cfx.encodeCfxAddress(sign.publicKeyToAddress(format.hexBuffer(key)), 1029), address);
}

const address = await withEthers();
await withViem(address);
await withConflux();
console.log("ok");
