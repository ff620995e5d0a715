import assert from "node:assert/strict";
import { Worker as NodeWorker } from "node:worker_threads";
import { isInWorker } from "../../../sessions/native/_worker_calls.ts";
import { inChild } from "../../support/child.ts";

const WORKER = new URL("./native_worker.ts", import.meta.url);

/** What a worker says in the end, when it is told so as soon as its model is open. */
interface Stopped {
  readonly said: "open" | "stopped";
  readonly runs: number;
  readonly isStopped: boolean;
  readonly isRight: boolean;
  readonly reason: string | null;
}

function stoppedBy(word: "stop" | "abort"): Promise<Stopped> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORKER, { type: "module" });
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.onmessage = ({ data }: MessageEvent<Stopped>) => {
      if (data.said === "open") worker.postMessage(word);
      else resolve(data);
      if (data.said === "stopped") worker.terminate();
    };
  });
}

Deno.test("workers may be ended while they compute natively, and the process with them", () => {
  const text = inChild(new URL("./worker_end_script.ts", import.meta.url), ["-A"]);
  assert.equal(text, "20 ended\n");
});

Deno.test("native runs of a worker give right numbers and let messages in", async () => {
  const { runs, isStopped, isRight, reason } = await stoppedBy("stop");
  assert.ok(runs > 0);
  assert.deepEqual([isStopped, isRight, reason], [true, true, null]);
});

Deno.test("a signal ends native runs of a worker between two of them", async () => {
  const { isRight, reason } = await stoppedBy("abort");
  assert.deepEqual([isRight, reason], [true, "enough"]);
});

Deno.test("isInWorker() tells workers of both kinds from the process's main thread", async () => {
  assert.equal(isInWorker(), false);
  const url = new URL("./in_worker.ts", import.meta.url);
  const web = new Worker(url, { type: "module" });
  const node = new NodeWorker(url);
  const answers = await Promise.all([
    new Promise((resolve) => web.onmessage = ({ data }) => resolve(data)),
    new Promise((resolve) => node.once("message", resolve)),
  ]);
  web.terminate();
  await node.terminate();
  assert.deepEqual(answers, [true, true]);
});
