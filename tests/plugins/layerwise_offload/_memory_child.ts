// Runs one model in a process of its own and prints what memory it took, as one line of JSON. Its
// arguments: the model, the plugin's options as JSON ("null" for none), "plain" for onnxruntime-node
// itself, and the bytes of data that the process may still take (RLIMIT_DATA), 0 for no limit.

import process from "node:process";
import { readFileSync, writeFileSync } from "node:fs";
import { openModel } from "@hookline/hookline";
import { layerwiseOffload } from "../../../plugins/layerwise_offload/mod.ts";
import { tokens } from "../../pipeline/residency/_blocks_model.ts";

const [path = "", options = "null", mode = "hookline", limit = "0"] = Deno.args;
const WIDTH = 640;
const feeds = tokens(WIDTH);

/** A field of /proc/self/status in bytes. */
function status(field: string): number {
  const text = readFileSync("/proc/self/status", "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024;
}

function limitData(more: number): void {
  if (more === 0) return;
  const RLIMIT_DATA = 2;
  const libc = Deno.dlopen("libc.so.6", {
    setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  });
  const most = BigInt(status("VmData") + more);
  const failed = libc.symbols.setrlimit(
    RLIMIT_DATA,
    new Uint8Array(BigUint64Array.of(most, most).buffer),
  );
  if (failed !== 0) throw new Error("the limit was refused");
}

/** Loads what every run needs, so that it counts for nobody. */
async function warmUp(): Promise<void> {
  const { chainModel, chainFeeds } = await import("../../pipeline/_small_models.ts");
  await using model = await openModel(chainModel(), { provider: "cpu", engine: "napi" });
  await model.run(chainFeeds(1));
}

async function plain(): Promise<Float32Array> {
  process.env["ORT_DISABLE_TELEMETRY"] = "1";
  const { InferenceSession, Tensor } = await import("onnxruntime-node");
  limitData(Number(limit));
  const session = await InferenceSession.create(path);
  const { x } = feeds;
  const made = await session.run({
    x: new Tensor("float32", x?.data as Float32Array, x?.shape ?? []),
  });
  return made["y"]?.data as Float32Array;
}

async function hookline(): Promise<Record<string, unknown>> {
  await warmUp();
  limitData(Number(limit));
  await using model = await openModel(path, { provider: "cpu", engine: "napi", threads: 1 });
  const given = JSON.parse(options);
  if (given !== null) layerwiseOffload(given).attach(model, { modelName: "m" });
  await model.prepare();
  const before = status("VmRSS");
  writeFileSync("/proc/self/clear_refs", "5"); // the high-water mark begins here
  const made = await model.run(feeds);
  const peak = status("VmHWM");
  for (let pass = 0; pass < 3; pass++) await model.run(feeds);
  return {
    above: peak - before,
    aboveAfter: status("VmHWM") - before,
    after: status("VmRSS") - before,
    forecast: model.explainDocument().residency?.forecast ?? null,
    output: [...made["y"]?.data.slice(0, 8) as Float32Array],
  };
}

const result = mode === "plain" ? { output: [...(await plain()).slice(0, 8)] } : await hookline();
console.log(JSON.stringify(result));
