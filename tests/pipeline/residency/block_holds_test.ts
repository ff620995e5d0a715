import assert from "node:assert/strict";
import { BlockHolds } from "../../../pipeline/residency/block_holds.ts";

/** A mover that writes down what it does; a fetch ends when it is told to. */
function recorder(): {
  readonly log: string[];
  readonly holds: BlockHolds;
  readonly gates: Map<string, PromiseWithResolvers<void>>;
} {
  const log: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const holds = new BlockHolds({
    fetch: (module) => {
      log.push(`fetch ${module}`);
      return gates.get(module)?.promise ?? Promise.resolve();
    },
    release: (module) => {
      log.push(`release ${module}`);
      return Promise.resolve();
    },
  });
  return { log, holds, gates };
}

Deno.test("BlockHolds fetches for the first holder and lets go after the last", async () => {
  const { log, holds } = recorder();
  holds.take("a");
  holds.take("a");
  await holds.ready("a");
  await holds.drop("a");
  assert.deepEqual(log, ["fetch a"]);
  assert.equal(holds.size, 1);
  await holds.drop("a");
  assert.deepEqual(log, ["fetch a", "release a"]);
  assert.equal(holds.size, 0);
  await holds.drop("a");
  assert.equal(log.length, 2);
});

Deno.test("BlockHolds lets go only when the fetch has ended, and fetches anew only after that", async () => {
  const { log, holds, gates } = recorder();
  const gate = Promise.withResolvers<void>();
  gates.set("a", gate);
  holds.take("a");
  await Promise.resolve();
  const dropped = holds.drop("a");
  holds.take("a");
  await Promise.resolve();
  assert.deepEqual(log, ["fetch a"]);
  gate.resolve();
  await dropped;
  await holds.ready("a");
  assert.deepEqual(log, ["fetch a", "release a", "fetch a"]);
});

Deno.test("BlockHolds tells every holder that a fetch failed, and tries again later", async () => {
  const { log, holds, gates } = recorder();
  const gate = Promise.withResolvers<void>();
  gates.set("a", gate);
  holds.take("a");
  holds.take("a");
  gate.reject(new Error("no disk"));
  await assert.rejects(holds.ready("a"), /no disk/);
  await assert.rejects(holds.ready("a"), /no disk/);
  await holds.drop("a");
  await holds.drop("a");
  gates.delete("a");
  holds.take("a");
  await holds.ready("a");
  assert.deepEqual(log, ["fetch a", "release a", "fetch a"]);
});
