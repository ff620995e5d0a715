import assert from "node:assert/strict";
import { mappedStream } from "../../../pipeline/residency/mapped_stream.ts";
import { blocksModel } from "./_blocks_model.ts";
import { recordingMemory } from "./_recording_memory.ts";
import { feedsOf, openAll, streaming } from "./_streaming.ts";

Deno.test("mappedStream() opens blocks without prepacking and moves exactly their weights", async () => {
  using file = blocksModel();
  const { host, streamed, weights } = await streaming(file.path);
  const { memory, log } = recordingMemory();
  const stream = mappedStream({ host, memory, weights });
  const openings = [];
  for (const each of streamed) openings.push(await stream.encode(each));
  assert.ok(openings.every((opening) => !opening.prepacking && !opening.isDeferred));
  assert.ok(openings.every((opening) => opening.optimization === "all"));
  const sessions = await openAll(host, openings);
  stream.opened(sessions);
  await stream.fetch("blocks.1");
  const [, second] = streamed;
  assert.ok(second !== undefined);
  assert.equal(stream.session(second.segment), null);
  await sessions[1]?.run(feedsOf(second.segment, file.feeds));
  await stream.release("blocks.1");
  const byteLength = weights.get("blocks.1")?.byteLength;
  assert.deepEqual(log, [`+${byteLength}`, `-${byteLength}`]);
  await stream.closed();
  await stream.release("blocks.1"); // its addresses are forgotten
  assert.equal(log.at(-1), "-0");
  for (const session of sessions) await session?.release();
});

Deno.test("mappedStream() keeps ONNX Runtime from reordering convolutions, which would copy them", async () => {
  using file = blocksModel();
  const { host, streamed: [first], weights } = await streaming(file.path);
  const { memory } = recordingMemory();
  const block = weights.get("blocks.0");
  assert.ok(first !== undefined && block !== undefined);
  const convolved = new Map([["blocks.0", { ...block, hasConvolution: true }]]);
  const level = async (optimization: "all" | "layout" | "basic"): Promise<string> =>
    (await mappedStream({ host: { ...host, optimization }, memory, weights: convolved })
      .encode(first)).optimization;
  assert.equal(await level("all"), "extended");
  assert.equal(await level("layout"), "extended");
  assert.equal(await level("basic"), "basic");
});
