// Run by feeds_transferred_test.ts: a feed whose data are gone when they are looked at again. The output is
// large, so that a frame that failed to begin has held another value for it before.

import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { float32, type Tensor } from "../../../tensor/tensor.ts";
import { buildModel } from "../tiny_models.ts";

const LENGTH = 20_000;
await using session = await new NativeEngine().open({
  kind: "bytes",
  weightFolder: null,
  bytes: buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: [1] }, {
      name: "zeros",
      dtype: "float32",
      shape: ["n"],
    }],
    outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
    nodes: [{ op: "Add", inputs: ["x", "zeros"], outputs: ["y"] }],
  }),
}, { provider: "cpu", optimization: "all", threads: 1, prepacking: true, label: "sum" });

const zeros = float32([LENGTH], new Float32Array(LENGTH));
let right = 0;
for (let run = 0; run < 200; run++) {
  let looks = 0;
  const x = {
    dtype: "float32",
    shape: [1],
    get data() {
      return ++looks === 2 && run % 4 === 3 ? undefined : Float32Array.of(run);
    },
  };
  try {
    const { y } = await session.run({ x: x as unknown as Tensor, zeros });
    if (y?.data[LENGTH - 1] === run) right++;
  } catch {
    right++; // refused on another thread
  }
}
console.log(right);
