import assert from "node:assert/strict";
import { forecast } from "../../../pipeline/residency/forecast.ts";
import { fakeWeights } from "./_fakes.ts";

const REQUEST = {
  strategy: "mapped",
  streamed: [fakeWeights("a", 100), fakeWeights("b", 100)],
  windowByteLength: 100,
  residentByteLength: 200,
  activationByteLength: null,
} as const;

Deno.test("forecast() adds activations to the peak where they are known", () => {
  assert.equal(forecast(REQUEST).peakByteLength, 100);
  assert.equal(forecast({ ...REQUEST, activationByteLength: 30 }).peakByteLength, 130);
  assert.equal(forecast(REQUEST).streamedByteLength, 200);
});

Deno.test("forecast() claims bits only for prepacked weights", () => {
  const numerics = (strategy: "mapped" | "prepacked" | "inputs" | "sessions"): string =>
    forecast({ ...REQUEST, strategy }).numerics;
  assert.equal(numerics("mapped"), "tolerance");
  assert.equal(numerics("inputs"), "tolerance");
  assert.equal(numerics("prepacked"), "bit-exact");
  assert.equal(numerics("sessions"), "bit-exact");
  assert.equal(forecast({ ...REQUEST, streamed: [] }).numerics, "bit-exact");
});

Deno.test("forecast() counts time by the part of the weights that moves", () => {
  const all = forecast({ ...REQUEST, residentByteLength: 0 }).hotRatio;
  const half = forecast(REQUEST).hotRatio;
  assert.ok(half < all && half > 1);
  assert.equal(Math.abs(half - (1 + all) / 2) < 1e-9, true);
  assert.equal(forecast({ ...REQUEST, streamed: [], residentByteLength: 0 }).hotRatio, 1);
});
