// One process of the offload benchmark; prints one line of JSON. Arguments: what to measure, the model,
// the plugin's options as JSON, rounds, threads.
//
// `hot`: a resident and an offloaded run, in turn, files cached. `cold`: an offloaded run with every file
// out of the cache, then reading the model's file from its beginning to its end, equally cold.
// `memory`: resident memory before a run, its peak, and what was foretold.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { float32, type Model, openModel, type TensorMap } from "../mod.ts";
import {
  layerwiseOffload,
  type LayerwiseOffloadOptions,
} from "../plugins/layerwise_offload/mod.ts";

const [mode = "", path = "", given = "{}", count = "1", threads = "2"] = Deno.args;
const options: LayerwiseOffloadOptions = JSON.parse(given);
const rounds = Number(count);
const TOKENS = 128;
const WIDTH = 960;
const POSIX_FADV_DONTNEED = 4;
const CHUNK_BYTES = 1 << 20;

const feeds: TensorMap = {
  x: float32(
    [1, TOKENS, WIDTH],
    Float32Array.from({ length: TOKENS * WIDTH }, (_, index) => Math.sin(index)),
  ),
};

async function open(isOffloaded: boolean): Promise<Model> {
  const model = await openModel(path, { provider: "cpu", threads: Number(threads) });
  if (isOffloaded) {
    layerwiseOffload({ ...options, dimensions: { batch: 1, tokens: TOKENS } })
      .attach(model, { modelName: "bench" });
  }
  await model.prepare();
  return model;
}

async function timed(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

async function hot(): Promise<unknown> {
  await using resident = await open(false);
  await using offloaded = await open(true);
  const samples: { resident: number[]; offloaded: number[] } = { resident: [], offloaded: [] };
  for (let round = -1; round < rounds; round++) {
    const ours = await timed(() => offloaded.run(feeds));
    const peer = await timed(() => resident.run(feeds));
    if (round < 0) continue; // the first round warms
    samples.offloaded.push(ours);
    samples.resident.push(peer);
  }
  return samples;
}

async function cold(): Promise<unknown> {
  const libc = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    posix_fadvise: { parameters: ["i32", "i64", "i64", "i32"], result: "i32" },
    sync: { parameters: [], result: "void" },
  });
  const { open: openFile, close, posix_fadvise, sync } = libc.symbols;
  const drop = (): void => {
    sync();
    for (const file of [path, ...cacheFiles()]) {
      const descriptor = openFile(new TextEncoder().encode(`${file}\0`), 0);
      posix_fadvise(descriptor, 0n, 0n, POSIX_FADV_DONTNEED);
      close(descriptor);
    }
  };
  await using offloaded = await open(true);
  await offloaded.run(feeds);
  const samples: { offloaded: number[]; read: number[] } = { offloaded: [], read: [] };
  for (let round = 0; round < rounds; round++) {
    drop();
    samples.offloaded.push(await timed(() => offloaded.run(feeds)));
    drop();
    samples.read.push(await timed(() => readAll(path)));
  }
  libc.close();
  return samples;
}

function readAll(file: string): void {
  using handle = Deno.openSync(file);
  const chunk = new Uint8Array(CHUNK_BYTES);
  while (handle.readSync(chunk) !== null);
}

function cacheFiles(): string[] {
  const { cacheFolder } = options;
  if (cacheFolder === undefined) return [];
  return readdirSync(cacheFolder).map((folder) => join(cacheFolder, folder, "block.bin"));
}

async function memory(): Promise<unknown> {
  await using offloaded = await open(true);
  const found: { before: number; peak: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = status("VmRSS");
    writeFileSync("/proc/self/clear_refs", "5"); // the high-water mark begins anew
    await offloaded.run(feeds);
    found.push({ before, peak: status("VmHWM") });
  }
  return { found, residency: offloaded.explainDocument().residency };
}

function status(field: string): number {
  const text = readFileSync("/proc/self/status", "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024;
}

const MODES: Readonly<Record<string, () => Promise<unknown>>> = { hot, cold, memory };
const measure = MODES[mode];
if (measure === undefined) throw new Error(`no mode "${mode}"`);
console.log(JSON.stringify(await measure()));
