import assert from "node:assert/strict";
import { inputStream } from "../../../pipeline/residency/input_stream.ts";
import { unsteered } from "../../../sessions/mapped_weights/weight_memory.ts";
import { blocksModel } from "./_blocks_model.ts";
import { feedsOf, openAll, streaming } from "./_streaming.ts";

const MEMORY = unsteered("a test"); // weights are read

Deno.test("inputStream() feeds one session the weights of the block that runs", async () => {
  using file = blocksModel();
  const { host, streamed } = await streaming(file.path);
  const stream = inputStream(host, MEMORY);
  const openings = [];
  for (const each of streamed) openings.push(await stream.encode(each));
  assert.equal(new Set(openings.map((opening) => opening.key)).size, 1);
  assert.ok(openings.every((opening) => opening.isRenamed));
  const [session] = await openAll(host, openings.slice(0, 1));
  assert.ok(session != null);
  stream.opened(streamed.map(() => session));
  const outputs: Float32Array[] = [];
  for (const { segment, module } of streamed.slice(0, 2)) {
    const runnable = stream.session(segment);
    assert.ok(runnable !== null);
    await assert.rejects(runnable.run(feedsOf(segment, file.feeds)), { code: "FEED_MISSING" });
    await stream.fetch(module);
    const made = await runnable.run(feedsOf(segment, file.feeds), segment.outputs);
    assert.deepEqual(Object.keys(made), segment.outputs);
    outputs.push(Object.values(made)[0]?.data as Float32Array);
    await stream.release(module);
  }
  assert.notDeepEqual(outputs[0], outputs[1]);
  await stream.closed();
  await session.release();
});

Deno.test("inputStream() refuses weights of a file that changed", async () => {
  using file = blocksModel();
  const { host, streamed: [first] } = await streaming(file.path);
  assert.ok(first !== undefined);
  const stream = inputStream(host, MEMORY);
  await stream.encode(first);
  Deno.writeFileSync(file.path, new Uint8Array(10));
  await assert.rejects(stream.fetch("blocks.0"), { code: "MODEL_CHANGED" });
  await stream.closed();
});
