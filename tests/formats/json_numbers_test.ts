import assert from "node:assert/strict";
import fc from "fast-check";
import { HooklineError } from "../../errors/hookline_error.ts";
import { fromJsonBigint, fromJsonNumber, toJson } from "../../formats/json_numbers.ts";
import { thrown } from "./_damage.ts";

const through = (value: unknown): unknown => JSON.parse(JSON.stringify(toJson(value)));

Deno.test("toJson() writes NaN, infinities and wide integers in their one spelling", () => {
  const value = {
    numbers: [NaN, Infinity, -Infinity, 1.5, 5e-324],
    safe: 9007199254740991n,
    wide: -9223372036854775808n,
    data: Float32Array.of(1, NaN),
    ids: BigInt64Array.of(3n),
    none: null,
    absent: undefined,
  };
  assert.equal(
    JSON.stringify(toJson(value)),
    '{"numbers":["NaN","Infinity","-Infinity",1.5,5e-324],"safe":9007199254740991,' +
      '"wide":"-9223372036854775808","data":[1,"NaN"],"ids":[3],"none":null}',
  );
});

Deno.test("toJson() leaves plain JSON as it is", () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
    assert.equal(JSON.stringify(toJson(value)), JSON.stringify(value));
  }));
});

Deno.test("toJson() keeps the key __proto__ a key, and takes an error's toJSON()", () => {
  const map = JSON.parse('{"__proto__":{"x":1}}');
  assert.equal(JSON.stringify(toJson(map)), '{"__proto__":{"x":1}}');
  const error = new HooklineError("INTERNAL", { message: "m", fix: "f", details: { at: NaN } });
  assert.deepEqual(toJson({ error }), {
    error: { code: "INTERNAL", message: "m", fix: "f", details: { at: "NaN" } },
  });
});

Deno.test("toJson() refuses what JSON has no form for, and cycles", () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  for (const value of [cycle, () => 0, Symbol("s"), new Map(), new Set(), [undefined], undefined]) {
    thrown(() => toJson(value), "INTERNAL");
  }
  thrown(() => toJson(new DataView(new ArrayBuffer(1))), "INTERNAL");
});

Deno.test("fromJsonNumber() is the inverse of toJson() on numbers", () => {
  fc.assert(fc.property(fc.double(), (number) => {
    assert.equal(fromJsonNumber(through(number)), number === 0 ? 0 : number);
  }));
  for (const other of ["1", "nan", "", null, true, undefined, {}]) {
    assert.equal(fromJsonNumber(other), undefined);
  }
});

Deno.test("fromJsonBigint() is the inverse of toJson() on integers", () => {
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }), (integer) => {
    assert.equal(fromJsonBigint(through(integer)), integer);
  }));
  for (const other of [1.5, NaN, 2 ** 53, "1.5", "", "0x1", " 1", "1".repeat(41), null]) {
    assert.equal(fromJsonBigint(other), undefined);
  }
});
