import assert from "node:assert/strict";
import type { ResidencyRequest } from "../../../hooks/residency_request.ts";
import {
  chooseStrategy,
  type ResidencyMeans,
} from "../../../pipeline/residency/strategy_choice.ts";
import { fakeWeights, fakeWish, MEANS } from "./_fakes.ts";

const BLOCKS = [fakeWeights("a", 100), fakeWeights("b", 300), fakeWeights("c", 200)];

function choose(
  request: Partial<ResidencyRequest> = {},
  means: Partial<ResidencyMeans> = {},
  blocks = BLOCKS,
): ReturnType<typeof chooseStrategy> {
  return chooseStrategy(blocks, fakeWish("a", request).request, { ...MEANS, ...means });
}

Deno.test("chooseStrategy() maps, and maps prepacked files where a folder is given", () => {
  assert.equal(choose().strategy, "mapped");
  assert.equal(choose({ cacheFolder: "/cache" }).strategy, "prepacked");
  assert.equal(choose({ cacheFolder: "/cache" }, { knowsProcessor: false }).strategy, "mapped");
});

Deno.test("chooseStrategy() feeds weights where memory cannot be steered or lies on a device", () => {
  assert.equal(choose({}, { canSteer: false }).strategy, "inputs");
  assert.equal(choose({ cacheFolder: "/cache" }, { canSteer: false }).strategy, "inputs");
  assert.equal(choose({}, { provider: "cuda" }).strategy, "inputs");
  const folding = [fakeWeights("a", 1, { folding: ["Transpose"] })];
  const chosen = choose({}, {}, folding);
  assert.equal(chosen.strategy, "inputs");
  assert.match(chosen.because, /what Transpose makes of weights/);
});

Deno.test("chooseStrategy() opens sessions for 4-bit weights", () => {
  const packed = [
    fakeWeights("a", 1),
    fakeWeights("b", 1, { isPacked: true, unfed: ["int4"] }),
  ];
  assert.equal(choose({ cacheFolder: "/cache" }, {}, packed).strategy, "sessions");
  assert.throws(() => choose({ strategy: "inputs" }, {}, packed), {
    code: "RESIDENCY_IMPOSSIBLE",
  });
});

Deno.test("chooseStrategy() maps no half-precision weights, and feeds no types that cannot be fed", () => {
  const half = [fakeWeights("a", 1, { isHalf: true })];
  assert.equal(choose({}, {}, half).strategy, "inputs");
  assert.equal(choose({ cacheFolder: "/cache" }, {}, half).strategy, "prepacked");
  const brain = [fakeWeights("a", 1, { isHalf: true, unfed: ["bfloat16"] })];
  const chosen = choose({}, {}, brain);
  assert.equal(chosen.strategy, "sessions");
  assert.match(chosen.because, /half-precision.*bfloat16 cannot be fed/);
  assert.equal(choose({}, { provider: "cuda" }, brain).strategy, "sessions");
});

Deno.test("chooseStrategy() fetches as far ahead as the strategy pays for, or as it is told", () => {
  assert.equal(choose().ahead, 2);
  assert.equal(choose({ strategy: "inputs" }).ahead, 1);
  assert.equal(choose({ ahead: 5 }).ahead, 5);
  assert.equal(choose({ ahead: 0 }).ahead, 0);
  assert.equal(choose({ ahead: 5, strategy: "sessions" }).ahead, 0);
});

Deno.test("chooseStrategy() takes the strategy that was asked for, or says why not", () => {
  assert.equal(choose({ strategy: "sessions" }).strategy, "sessions");
  assert.equal(choose({ strategy: "sessions" }).because, "asked for");
  const impossible: readonly [Partial<ResidencyRequest>, Partial<ResidencyMeans>, RegExp][] = [
    [{ strategy: "prepacked" }, {}, /folder/],
    [{ strategy: "prepacked", cacheFolder: "/c" }, { knowsProcessor: false }, /processor/],
    [{ strategy: "mapped" }, { canSteer: false, steering: "no FFI" }, /no FFI/],
    [{ strategy: "mapped" }, { provider: "cuda" }, /not mapped on cuda/],
    [{}, { hasFiles: false }, /given as bytes/],
  ];
  for (const [request, means, message] of impossible) {
    assert.throws(() => choose(request, means), { code: "RESIDENCY_IMPOSSIBLE", message });
  }
});

Deno.test("chooseStrategy() knows how much of the weights is in memory at once", () => {
  const window = (request: Partial<ResidencyRequest>): number => choose(request).windowOf(BLOCKS);
  assert.equal(window({ strategy: "mapped" }), 300);
  assert.equal(window({ strategy: "prepacked", cacheFolder: "/c", ahead: 5 }), 300);
  assert.equal(window({ strategy: "inputs", ahead: 0 }), 300);
  assert.equal(window({ strategy: "inputs", ahead: 1 }), 500);
  assert.equal(window({ strategy: "inputs", ahead: 9 }), 600);
  assert.equal(window({ strategy: "sessions" }), 600);
  assert.equal(choose().windowOf([]), 0);
});

Deno.test("chooseStrategy() counts on fed weights that are mapped as on mapped ones", () => {
  const mapped = choose({ strategy: "inputs" }, { mapsInputs: true });
  assert.equal(mapped.strategy, "inputs");
  assert.equal(mapped.costsLike, "mapped");
  assert.equal(mapped.ahead, 2);
  assert.equal(mapped.windowOf(BLOCKS), 300);
  assert.equal(choose({ strategy: "inputs" }).costsLike, "inputs");
});
