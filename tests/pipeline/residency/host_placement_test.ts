import assert from "node:assert/strict";
import { placeOnHost } from "../../../pipeline/residency/host_placement.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { fakeWeights } from "./_fakes.ts";

function placed(
  byteBudget: number,
  { isAsked = true, passingCount = 2, sizes = Array<number>(6).fill(10) } = {},
): string {
  const streamed = sizes.map((byteLength, index) => fakeWeights(`${index}`, byteLength));
  const { modules, byteLength } = placeOnHost({ streamed, byteBudget, isAsked, passingCount });
  return `${modules.join("")} ${byteLength}`;
}

Deno.test("placeOnHost() keeps as many modules as fit beside those on their way, evenly spread", () => {
  assert.equal(placed(60), "012345 60");
  assert.equal(placed(1000), "012345 60");
  assert.equal(placed(59), "024 50");
  assert.equal(placed(40), "03 40");
  assert.equal(placed(39), "0 30");
  assert.equal(placed(20), " 20");
});

Deno.test("placeOnHost() counts the largest of those on their way", () => {
  assert.equal(placed(50, { sizes: [10, 20, 30], passingCount: 1 }), "0 40");
  assert.equal(placed(60, { sizes: [10, 20, 30], passingCount: 1 }), "012 60");
});

Deno.test("placeOnHost() refuses a budget that holds not even what is on its way, if it was asked for", async () => {
  await expectCode("RESIDENCY_BUDGET", () => placed(19));
  assert.equal(placed(0, { isAsked: false }), " 20");
});
