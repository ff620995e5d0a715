import assert from "node:assert/strict";
import { readdirSync, rmSync, statSync, truncateSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { prepackedStream } from "../../../pipeline/residency/prepacked_stream.ts";
import {
  openWeightMemory,
  type WeightMemory,
} from "../../../sessions/mapped_weights/weight_memory.ts";
import { blocksModel } from "./_blocks_model.ts";
import { type Streaming, streaming } from "./_streaming.ts";

const FILES = ["block.bin", "block.onnx", "sizes.json"];

async function sourceOf(
  { host, streamed: [first] }: Streaming,
  cacheFolder: string,
  memory: WeightMemory,
): Promise<string> {
  assert.ok(first !== undefined);
  const { source } = await prepackedStream({ host, memory, cacheFolder }).encode(first);
  return source.kind === "file" ? source.path : assert.fail("no file");
}

Deno.test("prepackedStream() writes files once, whole, and anew for other weights or another processor", async () => {
  using file = blocksModel({ width: 64 });
  using memory = openWeightMemory();
  const cache = join(file.folder, "deep", "cache");
  const made = await streaming(file.path);
  const [one, again] = await Promise.all([
    sourceOf(made, cache, memory),
    sourceOf(made, cache, memory),
  ]);
  assert.equal(one, again);
  assert.deepEqual(readdirSync(cache).length, 1);
  assert.deepEqual(readdirSync(join(one, "..")).sort(), FILES);
  const written = Deno.statSync(one).mtime;
  await sourceOf(await streaming(file.path), cache, memory);
  assert.deepEqual(Deno.statSync(one).mtime, written);

  assert.notEqual(await sourceOf(made, cache, { ...memory, processor: "another" }), one);
  utimesSync(file.path, 1, 1); // as if other weights had been written
  assert.notEqual(await sourceOf(await streaming(file.path), cache, memory), one);
  assert.equal(readdirSync(cache).length, 3);
});

Deno.test("prepackedStream() says when it cannot write, and leaves nothing half written", async () => {
  using file = blocksModel();
  using memory = openWeightMemory();
  const made = await streaming(file.path);
  await assert.rejects(sourceOf(made, join(file.path, "cache"), memory), { code: "FILE_WRITE" });
  const cache = join(file.folder, "cache");
  const broken: Streaming = {
    ...made,
    host: {
      ...made.host,
      engine: {
        name: "napi",
        version: () => Promise.resolve("1"),
        open: () => Promise.reject(new Error("refused")),
      },
    },
  };
  await assert.rejects(sourceOf(broken, cache, memory), { code: "FILE_WRITE" });
  assert.deepEqual(readdirSync(cache), []);
});

Deno.test("prepackedStream() writes anew what was cut off or removed in the cache", async () => {
  using file = blocksModel({ width: 64 });
  using memory = openWeightMemory();
  const cache = join(file.folder, "cache");
  const made = await streaming(file.path);
  const model = await sourceOf(made, cache, memory);
  const folder = join(model, "..");
  const lengths = (): number[] => FILES.map((name) => statSync(join(folder, name)).size);
  const whole = lengths();
  for (const name of FILES) {
    truncateSync(join(folder, name), 10);
    assert.equal(await sourceOf(made, cache, memory), model);
    assert.deepEqual(lengths(), whole, `${name} was cut off`);
    rmSync(join(folder, name));
    await Promise.all([sourceOf(made, cache, memory), sourceOf(made, cache, memory)]);
    assert.deepEqual(lengths(), whole, `${name} was removed`);
  }
  assert.equal(readdirSync(cache).length, 1);
});
