import assert from "node:assert/strict";
import fc from "fast-check";
import { inSequence } from "../../hooks/sequence.ts";

Deno.test("inSequence() folds in order, plainly or with promises, with one result", async () => {
  const items = fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.boolean()), {
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(items, async (list) => {
      const step = (value: number, [add, later]: [number, boolean]) => {
        const next = value * 3 + add;
        return later ? Promise.resolve(next) : next;
      };
      const result = inSequence(list, 1, step);
      assert.equal(result instanceof Promise, list.some(([, later]) => later));
      assert.equal(await result, list.reduce((value, [add]) => value * 3 + add, 1));
    }),
    { numRuns: 100 },
  );
});

Deno.test("inSequence() stops at the first failure", async () => {
  const seen: number[] = [];
  const failing = inSequence([1, 2, 3], 0, (value, item) => {
    seen.push(item);
    if (item === 2) throw new Error("two");
    return Promise.resolve(value);
  });
  await assert.rejects(Promise.resolve(failing), /two/);
  assert.deepEqual(seen, [1, 2]);
});
