import assert from "node:assert/strict";
import { RunGate } from "../../../sessions/native/run_gate.ts";

Deno.test("RunGate lets its number in at once and the others in the order in which they came", async () => {
  const gate = new RunGate(2);
  assert.equal(gate.enter(undefined), null);
  assert.equal(gate.enter(undefined), null);
  const order: number[] = [];
  const others = [1, 2, 3].map((number) =>
    gate.enter(undefined)?.then(() => {
      order.push(number);
      gate.leave();
    })
  );
  await Promise.resolve();
  assert.deepEqual(order, []);
  assert.equal(gate.waiting, 3);
  gate.leave();
  await Promise.all(others);
  assert.deepEqual(order, [1, 2, 3]);
  gate.leave();
  assert.equal(gate.enter(undefined), null);
  assert.equal(gate.enter(undefined), null);
  assert.ok(gate.enter(undefined) !== null);
});

Deno.test("RunGate lets a waiting run go when its signal says so, and keeps its place for nobody", async () => {
  const gate = new RunGate(1);
  assert.equal(gate.enter(undefined), null);
  const controller = new AbortController();
  const reason = new Error("enough");
  const aborted = gate.enter(controller.signal);
  const patient = gate.enter(new AbortController().signal);
  controller.abort(reason);
  await assert.rejects(aborted ?? Promise.resolve(), (error) => error === reason);
  assert.equal(gate.waiting, 1);
  gate.leave();
  await patient;
  gate.leave();
  assert.equal(gate.enter(undefined), null);
});
