import assert from "node:assert/strict";
import { DeviceLane } from "../../sessions/device_lane.ts";
import { skippable } from "../skippable.ts";
import { runOnDevice, whyNoWebGpu } from "../support/software_vulkan.ts";

const PROVIDER = "lane of a test";

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

async function workerInside(): Promise<Worker> {
  const worker = new Worker(new URL("./device_lane_worker.ts", import.meta.url), {
    type: "module",
  });
  await new Promise((resolve) => worker.onmessage = resolve);
  return worker;
}

for (
  const [how, leave] of [
    ["leaves", (worker: Worker) => worker.postMessage("leave")],
    ["is ended", (worker: Worker) => worker.terminate()],
  ] as const
) {
  Deno.test(`DeviceLane keeps threads apart until the one inside ${how}`, async () => {
    const worker = await workerInside();
    let isInside = false;
    const entering = new DeviceLane(PROVIDER).through(() => {
      isInside = true;
      return Promise.resolve("done");
    });
    await turn();
    assert.equal(isInside, false);
    leave(worker);
    assert.equal(await entering, "done");
    worker.terminate();
  });
}

Deno.test("DeviceLane frees nothing while another thread is inside, and everything soon after", async () => {
  const worker = await workerInside();
  const lane = new DeviceLane(PROVIDER);
  const freed: string[] = [];
  lane.whenFree(() => freed.push("a"));
  lane.whenFree(() => freed.push("b"));
  await turn();
  assert.deepEqual(freed, []);
  worker.postMessage("leave");
  await lane.through(() => Promise.resolve());
  assert.deepEqual(freed, ["a", "b"]);
  worker.terminate();
});

Deno.test("DeviceLane gives up waiting for another thread when a signal says so", async () => {
  const worker = await workerInside();
  const lane = new DeviceLane(PROVIDER);
  const controller = new AbortController();
  const freed: string[] = [];
  const waiting = lane.through(() => assert.fail("it went in"), controller.signal);
  lane.whenFree(() => freed.push("a"));
  await turn();
  const STOP = new Error("stop");
  controller.abort(STOP);
  await assert.rejects(waiting, (error) => error === STOP);
  worker.postMessage("leave");
  assert.equal(await lane.through(() => Promise.resolve(1)), 1);
  assert.deepEqual(freed, ["a"]);
  worker.terminate();
});

Deno.test("DeviceLane does one thing after another on one thread, and goes on after a failure", async () => {
  for (const place of [undefined, { locks: null, isInWorker: false }]) {
    const lane = new DeviceLane(PROVIDER, place);
    const said: string[] = [];
    const step = async (name: string): Promise<void> => {
      said.push(`${name} in`);
      await turn();
      said.push(`${name} out`);
    };
    const failing = lane.through(async () => {
      await step("a");
      throw new Error("a failed");
    });
    const second = lane.through(() => step("b"));
    lane.whenFree(() => said.push("freed"));
    await assert.rejects(failing, /a failed/);
    await second;
    assert.deepEqual(said, ["a in", "a out", "freed", "b in", "b out"]);
  }
});

Deno.test("DeviceLane refuses a worker whose runtime cannot keep threads apart", async () => {
  const lane = new DeviceLane("webgpu", { locks: null, isInWorker: true });
  await assert.rejects(lane.through(() => assert.fail("it went in")), {
    code: "PROVIDER_UNAVAILABLE",
  });
});

Deno.test({
  ...skippable("both engines and other threads take turns on a device", whyNoWebGpu()),
  fn() {
    const text = runOnDevice(new URL("./webgpu_threads_script.ts", import.meta.url), "run");
    const { counts, expected } = JSON.parse(text);
    assert.deepEqual(counts, Array(5).fill(expected));
  },
});
