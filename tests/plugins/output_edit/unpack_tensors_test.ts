import assert from "node:assert/strict";
import { float32 } from "../../../mod.ts";
import { repackTensors, sameStructure, unpackTensors } from "../../../plugins/output_edit/mod.ts";
import { coded } from "./_models.ts";

const [A, B, C] = [1, 2, 3].map((value) => float32([1], [value])) as [
  ReturnType<typeof float32>,
  ReturnType<typeof float32>,
  ReturnType<typeof float32>,
];

Deno.test("unpackTensors() finds tensors depth first, left to right, and repacking restores the value", () => {
  const value = [1, A, "text", [B, null], { last_hidden_state: C, past: [[A, B]], n: 2n }];
  const { tensors, structure } = unpackTensors(value);
  assert.deepEqual(tensors, [A, B, C, A, B]);
  assert.deepEqual(repackTensors(structure, tensors), value);
  assert.deepEqual(repackTensors(structure, [C, C, C, C, C]), [
    1,
    C,
    "text",
    [C, null],
    { last_hidden_state: C, past: [[C, C]], n: 2n },
  ]);
});

Deno.test("unpackTensors() keeps Maps, odd keys and objects of a class", () => {
  const date = new Date(0);
  const odd = Object.defineProperty({}, "__proto__", { value: A, enumerable: true });
  const value = new Map<unknown, unknown>([["x", A], [date, odd]]);
  const { tensors, structure } = unpackTensors(value);
  assert.equal(tensors.length, 2);
  const back = repackTensors(structure, [B, C]) as Map<unknown, unknown>;
  assert.equal(back.get("x"), B);
  assert.equal(Object.getOwnPropertyDescriptor(back.get(date), "__proto__")?.value, C);
  assert.deepEqual(unpackTensors(date), { tensors: [], structure: { kind: "value", value: date } });
  assert.deepEqual(unpackTensors(5).tensors, []);
});

Deno.test("repackTensors() refuses another number of tensors: none is duplicated", () => {
  const { structure } = unpackTensors([A, B]);
  for (const tensors of [[A], [A, B, C]]) {
    assert.throws(() => repackTensors(structure, tensors), coded("OPTION_INVALID", /2 places/));
  }
});

Deno.test("sameStructure() compares containers, keys and values; tensors are equal whatever their shape", () => {
  const same = (left: unknown, right: unknown) =>
    sameStructure(unpackTensors(left).structure, unpackTensors(right).structure);
  assert.ok(same([A, { x: 1 }], [float32([2], [1, 2]), { x: 1 }]));
  assert.ok(!same([A], [A, A]));
  assert.ok(!same([A], { 0: A }));
  assert.ok(!same({ x: A }, { y: A }));
  assert.ok(!same([1], [2]));
  assert.ok(same([NaN], [NaN]));
  assert.ok(!same([A], [1]));
});
