import assert from "node:assert/strict";
import { admitHook } from "../../../hooks/admission.ts";
import { ModelHook } from "../../../hooks/model_hook.ts";
import { hookOrder } from "../../../hooks/order.ts";
import { PrivateTensors } from "../../../pipeline/residency/private_tensors.ts";
import { float32 } from "../../../tensor/tensor.ts";

class Reader extends ModelHook {
  override readonly name = "reader";
  override postForward(): void {}
}
class Silent extends ModelHook {
  override readonly name = "silent";
  override readonly access = "residency";
}

Deno.test("PrivateTensors frees what nobody saw, and nothing else", () => {
  const order = (hook: ModelHook) => hookOrder([admitHook(hook, "m")], "m");
  const [mine, seen, hidden, foreign, kept] = [1, 2, 3, 4, 5].map((value) => float32([1], [value]));
  assert.ok(mine && seen && hidden && foreign && kept);
  const view = { ...kept, data: (kept.data as Float32Array).subarray(0, 0) };
  const tensors = new PrivateTensors();
  tensors.made([mine, seen, hidden, view]);
  tensors.shown({ seen }, order(new Reader()));
  tensors.shown({ hidden }, order(new Silent()));
  tensors.shown({ hidden }, null);
  for (const tensor of [mine, seen, hidden, foreign, view, undefined]) tensors.drop(tensor);
  tensors.drop(mine);
  assert.equal(mine.data.length, 0);
  assert.equal(hidden.data.length, 0);
  assert.equal(seen.data[0], 2);
  assert.equal(foreign.data[0], 4);
  assert.equal(kept.data[0], 5);
});
