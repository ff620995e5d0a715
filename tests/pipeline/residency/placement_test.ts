import assert from "node:assert/strict";
import type { BlockWeights } from "../../../pipeline/residency/block_weights.ts";
import { placeBlocks } from "../../../pipeline/residency/placement.ts";
import type { ResidencyPlacement } from "../../../hooks/residency_request.ts";
import { fakeWeights, fakeWish } from "./_fakes.ts";

function placed(
  placements: readonly ResidencyPlacement[],
  byteBudget: number | null,
  sizes: readonly number[] = placements.map(() => 10),
): string {
  return placeBlocks({
    wishes: placements.map((placement, index) => fakeWish(`b${index}`, { placement })),
    weights: sizes.map((byteLength, index) => fakeWeights(`b${index}`, byteLength)),
    byteBudget,
    restByteLength: 5,
    windowOf: (blocks: readonly BlockWeights[]) =>
      Math.max(0, ...blocks.map((block) => block.byteLength)),
  }).map((block) => block.placement === "resident" ? "R" : "s").join("");
}

const AUTO = Array<ResidencyPlacement>(6).fill("auto");

Deno.test("placeBlocks() keeps as many as the budget holds, evenly spread", () => {
  assert.equal(placed(AUTO, null), "RRRRRR");
  assert.equal(placed(AUTO, 65), "RRRRRR");
  assert.equal(placed(AUTO, 64), "RRsRRs");
  assert.equal(placed(AUTO, 45), "RsRsRs");
  assert.equal(placed(AUTO, 25), "Rsssss");
  assert.equal(placed(AUTO, 15), "ssssss");
});

Deno.test("placeBlocks() does what was asked for, whatever the budget would allow", () => {
  assert.equal(placed(["resident", "streamed", "auto", "streamed"], 1000), "RsRs");
  assert.equal(placed(["resident", "streamed", "auto", "streamed"], 25), "Rsss");
});

Deno.test("placeBlocks() says how much is needed when even streaming takes more", () => {
  assert.throws(() => placed(AUTO, 14), {
    code: "RESIDENCY_BUDGET",
    message: /15 are needed/,
  });
  assert.throws(() => placed(["resident", "streamed"], 24), { code: "RESIDENCY_BUDGET" });
  assert.throws(() => placed(["auto", "auto"], 54, [10, 50]), { message: /55 are needed/ });
});
