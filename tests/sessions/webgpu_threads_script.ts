// Run by device_lane_test.ts with WebGPU: both engines on the main thread and the native one in two workers
// open, run and close sessions at once, and workers are ended while they do; two inside the device at a time
// end the process. Prints how many runs gave right numbers.

import { DeviceTensor } from "../../sessions/device_tensor.ts";
import type { Engine, SessionSettings } from "../../sessions/engine.ts";
import { isInWorker } from "../../sessions/native/_worker_calls.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { NativeEngine } from "../../sessions/native/native_engine.ts";
import { float32 } from "../../tensor/tensor.ts";
import { buildModel } from "./tiny_models.ts";

const ROUNDS = 8;
const RUNS = 12;
const ENDED_WORKERS = 4;
const LENGTH = 200_000;
const vector = (name: string) => ({ name, dtype: "float32", shape: ["n"] }) as const;
const bytes = buildModel({
  inputs: [vector("x")],
  outputs: [vector("y")],
  nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
});
const SETTINGS: SessionSettings = {
  provider: "webgpu",
  optimization: "all",
  threads: 1,
  prepacking: true,
  label: "negation",
};

async function rightRuns(engine: Engine): Promise<number> {
  let right = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await using session = await engine.open({ kind: "bytes", bytes, weightFolder: null }, SETTINGS);
    for (let run = 0; run < RUNS; run++) {
      const x = float32([LENGTH], new Float32Array(LENGTH).fill(run));
      const kept = await session.runOnDevice?.({ x }, ["y"], { keep: ["y"] });
      using value = kept?.["y"] instanceof DeviceTensor ? kept["y"] : null;
      const y = value === null ? (await session.run({ x }))["y"] : await value.read();
      if ((y?.data as Float32Array).every((found) => found === -run)) right++;
    }
  }
  return right;
}

function startWorker(): Worker {
  return new Worker(import.meta.url, { type: "module" });
}

async function rightRunsOfWorker(): Promise<number> {
  const worker = startWorker();
  const count = await new Promise<number>((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  worker.terminate();
  return count;
}

async function endWorkers(): Promise<void> {
  for (let index = 0; index < ENDED_WORKERS; index++) {
    const worker = startWorker();
    await new Promise((resolve) => setTimeout(resolve, 400 + 100 * index));
    worker.terminate();
  }
}

if (isInWorker()) {
  const port = globalThis as unknown as { postMessage(message: unknown): void };
  port.postMessage(await rightRuns(new NativeEngine()));
} else {
  const [, ...counts] = await Promise.all([
    endWorkers(),
    rightRuns(new NativeEngine()),
    rightRuns(new NapiEngine()),
    rightRunsOfWorker(),
    rightRunsOfWorker(),
  ]);
  const afterwards = await rightRuns(new NativeEngine());
  console.log(JSON.stringify({ counts: [...counts, afterwards], expected: ROUNDS * RUNS }));
}
