// Run by feeds_transferred_test.ts with WebGPU: frees the memory of both feeds as soon as the run was asked
// for, while another thread copies the first one to the device. Prints how many runs gave right numbers.

import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { float32 } from "../../../tensor/tensor.ts";
import { buildModel } from "../tiny_models.ts";

const LENGTH = 1_000_000;
const vector = (name: string) => ({ name, dtype: "float32", shape: ["n"] }) as const;
await using session = await new NativeEngine().open({
  kind: "bytes",
  weightFolder: null,
  bytes: buildModel({
    inputs: [vector("a"), vector("b")],
    outputs: [vector("y")],
    nodes: [{ op: "Add", inputs: ["a", "b"], outputs: ["y"] }],
  }),
}, { provider: "webgpu", optimization: "all", threads: 1, prepacking: true, label: "sum" });

let right = 0;
for (let number = 1; number <= 5; number++) {
  const [a, b] = [1, 2].map((factor) => new Float32Array(LENGTH).fill(factor * number)) as [
    Float32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
  ];
  const running = session.run({ a: float32([LENGTH], a), b: float32([LENGTH], b) });
  for (const { buffer } of [a, b]) buffer.transfer().transfer(0);
  const { y } = await running;
  if ((y?.data as Float32Array).every((sum) => sum === 3 * number)) right++;
}
console.log(JSON.stringify({ right }));
