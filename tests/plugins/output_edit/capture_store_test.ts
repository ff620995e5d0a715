import assert from "node:assert/strict";
import { float32 } from "../../../mod.ts";
import { CaptureStore } from "../../../plugins/output_edit/mod.ts";

Deno.test("CaptureStore keeps shards in their order, whichever of them comes first", () => {
  const store = new CaptureStore({ between: "append" });
  const add = (runId: number, callIndex: number, shard: number | null): void =>
    store.add({
      module: "mlp",
      name: "y",
      tensor: float32([1], [shard ?? 0]),
      when: "pre-edit",
      callIndex,
      runId,
      step: null,
      context: "default",
      shard,
    });
  for (const [callIndex, shard] of [[0, 2], [0, 0], [1, 0], [0, 1], [1, 2], [1, 1]] as const) {
    add(0, callIndex, shard);
  }
  add(1, 0, 1);
  add(1, 0, 0);
  add(1, 1, null);
  const order = store.get("mlp").map((kept) => `${kept.runId}.${kept.callIndex}.${kept.shard}`);
  assert.deepEqual(order, [
    ...["0.0.0", "0.0.1", "0.0.2", "0.1.0", "0.1.1", "0.1.2"],
    ...["1.0.0", "1.0.1", "1.1.null"],
  ]);
});
