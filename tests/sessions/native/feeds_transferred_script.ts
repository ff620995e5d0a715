// Run by feeds_transferred_test.ts with --expose-gc: gives the buffer of every feed away as soon as the run
// was asked for, and has it collected while the run computes on another thread. Prints how runs ended.

import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { availableCores } from "../../../sessions/thread_budget.ts";
import { float32 } from "../../../tensor/tensor.ts";
import { buildModel } from "../tiny_models.ts";

const LENGTH = 2_000_000;
const STEPS = 12;
const ROUNDS = 12;
/** More than may compute at once. */
const TOGETHER = 4 * Math.max(4, availableCores());
const collect = (globalThis as unknown as { gc(): void }).gc;

/** `y = x + x + …`: every node reads the feed once more. */
const value = (index: number) => index === 0 ? "x" : index === STEPS ? "y" : `v${index}`;
await using session = await new NativeEngine().open({
  kind: "bytes",
  weightFolder: null,
  bytes: buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
    nodes: Array.from({ length: STEPS }, (_, index) => ({
      op: "Add",
      inputs: [value(index), "x"],
      outputs: [value(index + 1)],
    })),
  }),
}, { provider: "cpu", optimization: "all", threads: 2, prepacking: true, label: "sums" });

const ended: Record<string, number> = {};

async function run(number: number, length: number): Promise<void> {
  const data = new Float32Array(length).fill(number);
  const running = session.run({ x: float32([length], data) });
  giveAway(data.buffer, number);
  collect();
  let outcome: string;
  try {
    const { y } = await running;
    const sums = y?.data as Float32Array;
    const isRight = sums.length === length && sums.every((sum) => sum === (STEPS + 1) * number);
    outcome = isRight ? "right" : "wrong";
  } catch (error) {
    outcome = (error as { code: string }).code;
  }
  ended[outcome] = (ended[outcome] ?? 0) + 1;
}

/** The new owner drops it at once. What is freed may be handed out again: somebody writes there. */
function giveAway(buffer: ArrayBuffer, number: number): void {
  if (number % 2 === 0) buffer.transfer().transfer(0);
  else structuredClone(buffer, { transfer: [buffer] });
  new Float32Array(LENGTH).fill(-1);
}

for (let round = 0; round < ROUNDS; round++) await run(round + 1, LENGTH);
const alone = ended["right"];
// Some wait, and their feeds are gone when their turn comes.
await Promise.all(Array.from({ length: TOGETHER }, (_, index) => run(index + 1, 100_000)));
console.log(JSON.stringify({ alone, rounds: ROUNDS, together: TOGETHER, ended }));
