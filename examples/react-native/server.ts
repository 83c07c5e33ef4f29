/** Starts `bsim test-server` for a test run. It ends with the process that started it, however that ends. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export interface TestServer {
  /** Its address. */
  http: string;
  /** The numbers of its cards: one for each worker. */
  cards: string[];
  stop(): Promise<void>;
}

export async function startServer(...options: string[]): Promise<TestServer> {
  const [program = "bsim", ...words] = (process.env.BSIM ?? "bsim").split(" ");
  const child = spawn(program, [...words, "test-server", "--until-eof", ...options], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const ready = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`bsim test-server ended with ${code}`)));
    createInterface({ input: child.stdout }).once("line", resolve);
  });
  const { http, cards } = JSON.parse(ready) as { http: string; cards: string[] };
  return {
    http,
    cards,
    stop: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
