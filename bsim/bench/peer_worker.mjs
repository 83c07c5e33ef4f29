// The ethers peer: peer_worker.py's protocol, in JavaScript. Arguments: the folder with node_modules, JOB, SECRET, SEED, PATH.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, , secret] = process.argv.slice(2);
const { SigningKey, version } = createRequire(folder + "/")("ethers");
const key = new SigningKey("0x" + secret);
const digests = Array.from({ length: 64 }, (_, n) => "0x" + (n + 1).toString(16).padStart(64, "0"));

const first = key.sign(digests[0]);
console.log(JSON.stringify({ version, answer: first.r.slice(2) + first.s.slice(2) }));

createInterface({ input: process.stdin }).on("line", (line) => {
  const count = Number(line);
  // Untimed: whoever was on before has filled the core's caches.
  for (let n = 0; n < count >> 3; n++) key.sign(digests[n % digests.length]);
  const begin = process.hrtime.bigint();
  for (let n = 0; n < count; n++) key.sign(digests[n % digests.length]);
  console.log(Number(process.hrtime.bigint() - begin) / 1000 / count);
});
