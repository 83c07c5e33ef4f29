// What libraries in JavaScript make of signed payloads: one JSON array of cases in, one of their answers out.
// Each case is [name of a check, its arguments]; an answer that is an error is {"error": its words}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const libraries = {};

// A library is loaded when the first case asks for it: a suite that checks EVM transactions waits for ethers only.
function library(name) {
  libraries[name] ??= require(name);
  return libraries[name];
}

const text = (value) => (value === null || value === undefined ? null : value.toString());

const checks = {
  // ethers: sender and fields of a raw EVM transaction, and its hash.
  evm(raw) {
    const tx = library("ethers").Transaction.from(raw);
    return {
      from: tx.from,
      hash: tx.hash,
      unsigned: tx.unsignedSerialized,
      type: tx.type,
      chainId: text(tx.chainId),
      nonce: text(tx.nonce),
      gas: text(tx.gasLimit),
      to: tx.to,
      value: text(tx.value),
      data: tx.data,
      gasPrice: text(tx.gasPrice),
      maxFeePerGas: text(tx.maxFeePerGas),
      maxPriorityFeePerGas: text(tx.maxPriorityFeePerGas),
      accessList: tx.accessList,
      authorizations: (tx.authorizationList ?? []).map((one) => one.address),
    };
  },
  // js-conflux-sdk: the same for a raw transaction of Core Space.
  conflux(raw) {
    const { Transaction, format, sign } = library("js-conflux-sdk");
    const decoders = { "0x63667801": "decode2930", "0x63667802": "decode1559" };
    const decoder = decoders[raw.slice(0, 10)];
    const body = Buffer.from(raw.slice(decoder ? 10 : 2), "hex");
    const tx = Transaction[decoder ?? "decodeLegacy"](body);
    // decodeRaw recovers at once and fails where r or s begins with a zero byte, which its own RLP leaves out.
    for (const name of ["r", "s"]) tx[name] = "0x" + tx[name].slice(2).padStart(64, "0");
    const bytes = (address) => (address ? format.hexAddress(address) : null);
    return {
      from: format.hex(sign.publicKeyToAddress(format.hexBuffer(tx.recover()))),
      hash: tx.hash,
      raw: tx.serialize(),
      type: tx.type,
      chainId: text(tx.chainId),
      nonce: text(tx.nonce),
      gas: text(tx.gas),
      to: bytes(tx.to),
      value: text(tx.value),
      data: tx.data,
      gasPrice: text(tx.gasPrice),
      maxFeePerGas: text(tx.maxFeePerGas),
      maxPriorityFeePerGas: text(tx.maxPriorityFeePerGas),
      storageLimit: text(tx.storageLimit),
      epochHeight: text(tx.epochHeight),
    };
  },
  // js-conflux-sdk: CIP-37 with and without its type.
  cip37(account, network) {
    const { address } = library("js-conflux-sdk");
    const bytes = Buffer.from(account, "hex");
    return [address.encodeCfxAddress(bytes, network), address.encodeCfxAddress(bytes, network, true)];
  },
  // ethers: the signer of a message (EIP-191), the message in hex.
  personal(message, signature) {
    const { verifyMessage, getBytes } = library("ethers");
    return verifyMessage(getBytes(message), signature);
  },
  // js-conflux-sdk: the public key that signed a message (CIP-23), a text.
  cip23Personal(message, signature) {
    return library("js-conflux-sdk").PersonalMessage.recover(signature, message);
  },
  // ethers: the hash of typed data (EIP-712) and who signed it.
  typedData(data, signature) {
    const { TypedDataEncoder, verifyTypedData } = library("ethers");
    const { EIP712Domain, ...types } = data.types;
    return {
      hash: TypedDataEncoder.hash(data.domain, types, data.message),
      from: verifyTypedData(data.domain, types, data.message, signature),
    };
  },
  // cip-23: the hash of typed data of Conflux Core Space.
  cip23Typed(data) {
    return "0x" + Buffer.from(library("cip-23").getMessage(data, true)).toString("hex");
  },
  // sm-crypto: whether a DER signature of SM2 is of this message in hex, under the default identity.
  sm2(message, signature, publicKey) {
    const bytes = Array.from(Buffer.from(message, "hex"));
    return library("sm-crypto").sm2.doVerifySignature(bytes, signature, publicKey, { hash: true, der: true });
  },
  // sm-crypto: SM3 of a message in hex.
  sm3(message) {
    return library("sm-crypto").sm3(Array.from(Buffer.from(message, "hex")));
  },
};

function answer([name, ...values]) {
  try {
    return checks[name](...values);
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
}

const cases = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map(answer)));
