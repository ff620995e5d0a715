import assert from "node:assert/strict";
import { sessionStream } from "../../../pipeline/residency/session_stream.ts";
import { sessionLedger } from "../../../sessions/session_ledger.ts";
import { blocksModel } from "./_blocks_model.ts";
import { feedsOf, streaming } from "./_streaming.ts";

Deno.test("sessionStream() has a block's session open while the block runs, and no longer", async () => {
  using file = blocksModel();
  const { host, streamed } = await streaming(file.path);
  const stream = sessionStream(host);
  for (const each of streamed) assert.ok((await stream.encode(each)).isDeferred);
  stream.opened(streamed.map(() => null));
  assert.equal(sessionLedger.count, 0);
  const [first] = streamed;
  assert.ok(first !== undefined);
  assert.throws(() => stream.session(first.segment), { code: "INTERNAL" });
  await stream.fetch("blocks.0");
  assert.equal(sessionLedger.count, 1);
  await stream.session(first.segment)?.run(feedsOf(first.segment, file.feeds));
  await stream.release("blocks.0");
  assert.equal(sessionLedger.count, 0);
  await stream.fetch("blocks.1");
  await stream.closed();
  assert.equal(sessionLedger.count, 0);
});

Deno.test("sessionStream() leaves no session behind when one of a block's fails", async () => {
  using file = blocksModel();
  const { host, streamed } = await streaming(file.path);
  const stream = sessionStream(host);
  for (const each of streamed.slice(0, 2)) await stream.encode({ ...each, module: "both" });
  let opened = 0;
  const { engine } = host;
  Object.assign(host, {
    engine: {
      name: "napi",
      version: () => engine.version(),
      open: (...args: Parameters<typeof engine.open>) =>
        opened++ === 0 ? engine.open(...args) : Promise.reject(new Error("no room")),
    },
  });
  await assert.rejects(stream.fetch("both"), /no room/);
  assert.equal(opened, 2);
  assert.equal(sessionLedger.count, 0);
});
