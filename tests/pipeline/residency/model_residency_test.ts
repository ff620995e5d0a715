import assert from "node:assert/strict";
import { admitHook } from "../../../hooks/admission.ts";
import { ModelHook } from "../../../hooks/model_hook.ts";
import type { ResidencyRequest } from "../../../hooks/residency_request.ts";
import { ModelResidency } from "../../../pipeline/residency/model_residency.ts";
import { unsteered, type WeightMemory } from "../../../sessions/mapped_weights/weight_memory.ts";
import { blocksModel } from "./_blocks_model.ts";
import { streaming } from "./_streaming.ts";

class Weights extends ModelHook {
  override readonly name = "weights";
  override readonly access = "residency";
  constructor(override readonly residency: ResidencyRequest) {
    super();
  }
}

Deno.test("ModelResidency opens memory when it is first needed, and closes it", async () => {
  using file = blocksModel();
  const { host } = await streaming(file.path);
  const { tree } = host.structure;
  const log: string[] = [];
  const memory: WeightMemory = {
    ...unsteered("a test"),
    economize: () => void log.push("economize"),
    [Symbol.dispose]: () => void log.push("closed"),
  };
  const find = (path: string) => tree.get(path) ?? assert.fail(path);
  const residency = new ModelResidency(host, find, () => {
    log.push("opened");
    return memory;
  });
  assert.equal(residency.schedule([]), null);
  assert.deepEqual(log, []);
  const schedule = residency.schedule(
    ["blocks.2", "blocks.0"].map((path) => ({
      module: find(path),
      hooks: [admitHook(new Weights({ placement: "streamed" }), path)],
    })),
  );
  assert.deepEqual(schedule?.blocks.map((block) => block.module), ["blocks.0", "blocks.2"]);
  assert.equal(schedule?.strategy, "inputs"); // this memory cannot be steered
  assert.deepEqual(log, ["opened"]);
  const plan = { kind: "split", steps: [], hash: "", madeFor: "", outputs: [], order: {} } as const;
  assert.equal(residency.of({ ...plan, because: [] }), null);
  assert.deepEqual(log, ["opened"]); // nothing streams: the allocator is left alone
  assert.ok(schedule !== null);
  assert.notEqual(residency.of({ ...plan, because: [], residency: schedule }), null);
  residency[Symbol.dispose]();
  assert.deepEqual(log, ["opened", "economize", "closed"]);
});
