import assert from "node:assert/strict";
import { causeText } from "../../errors/cause_text.ts";

Deno.test("causeText() gives an error's message and any other value as text", () => {
  assert.equal(causeText(new TypeError("inner")), "inner");
  assert.deepEqual([causeText("text"), causeText(undefined), causeText(Symbol("s"))], [
    "text",
    "undefined",
    "Symbol(s)",
  ]);
});

Deno.test("causeText() survives values that cannot be written as text", () => {
  const fail = (): never => {
    throw new Error("trap");
  };
  const proxy = new Proxy({}, { get: fail, getPrototypeOf: fail });
  for (const cause of [Object.create(null), { toString: fail }, proxy]) {
    assert.equal(causeText(cause), "a value that cannot be written as text");
  }
});
