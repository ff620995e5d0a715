// The worker of native_in_worker_test.ts and worker_end_script.ts: runs the slow model natively, again and
// again, until it is told to stop or is ended, or has run often enough. It starts no worker itself.

import { parentPort } from "node:worker_threads";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { slowFeeds, slowModel } from "./_slow_model.ts";

/** The same for a web worker and for one of `node:worker_threads`. */
interface Port {
  postMessage(message: unknown): void;
  addEventListener(kind: "message", listener: (event: { readonly data: unknown }) => void): void;
}
const port = (parentPort ?? globalThis) as unknown as Port;

const STEPS = 40;
const LAST_RUN = 200;
const feeds = slowFeeds();
const controller = new AbortController();
const { signal } = controller;
let isStopped = false;
port.addEventListener("message", ({ data }) => {
  if (data === "stop") isStopped = true;
  if (data === "abort") controller.abort(new Error("enough"));
});

await using session = await new NativeEngine().open(
  { kind: "bytes", bytes: slowModel(STEPS), weightFolder: null },
  { provider: "cpu", optimization: "all", threads: 2, prepacking: true, label: "slow" },
);
port.postMessage({ said: "open" });
const whole = slowFeeds()["x"]?.data as Float32Array;
let runs = 0;
let isRight = true;
let reason: string | null = null;
try {
  for (; !isStopped && runs < LAST_RUN; runs++) {
    const { y } = await session.run(feeds, undefined, { signal });
    const { data } = y as { data: Float32Array };
    isRight &&= data.every((value, index) => value === whole[index]);
  }
} catch (error) {
  reason = (error as Error).message;
}
port.postMessage({ said: "stopped", runs, isStopped, isRight, reason });
