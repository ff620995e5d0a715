import assert from "node:assert/strict";
import { describeTensors, statisticsOf } from "../../manifest/tensor_facts.ts";
import { float32, tensor } from "../../tensor/tensor.ts";

Deno.test("statisticsOf() works on finite elements and counts the others", () => {
  const found = statisticsOf(float32([5], [1, -3, NaN, Infinity, -Infinity]));
  assert.deepEqual(found, {
    count: 5,
    nanCount: 1,
    infinityCount: 2,
    min: -3,
    max: 1,
    mean: -1,
    absMean: 2,
    rms: Math.sqrt(5),
  });
});

Deno.test("statisticsOf() gives null where there is nothing finite, and for what are no numbers", () => {
  assert.equal(statisticsOf(float32([1], [NaN]))?.mean, null);
  assert.equal(statisticsOf(float32([0], []))?.max, null);
  assert.equal(statisticsOf(tensor("string", [1], ["a"])), null);
  assert.equal(statisticsOf(tensor("bfloat16", [1], Uint16Array.of(1))), null);
  assert.equal(statisticsOf(tensor("int64", [2], BigInt64Array.of(1n, 3n)))?.mean, 2);
});

Deno.test("describeTensors() says dtype and shape, and statistics only when asked", () => {
  const map = { x: float32([2, 1], [1, 2]) };
  assert.deepEqual({ ...describeTensors(map, false) }, { x: { dtype: "float32", shape: [2, 1] } });
  const facts = describeTensors(map, true)["x"];
  assert.equal(facts?.statistics?.max, 2);
  // JSON carries it to a worker and to a process.
  assert.deepEqual(JSON.parse(JSON.stringify(facts)), facts);
});
