import assert from "node:assert/strict";
import { RunPacing } from "../../../sessions/native/run_pacing.ts";

Deno.test("RunPacing sends the first run and slow ones to another thread", () => {
  const pacing = new RunPacing();
  pacing.turned(0);
  assert.equal(pacing.placeOf(null, 0), "elsewhere");
  assert.equal(pacing.placeOf(1, 0), "elsewhere");
  assert.equal(pacing.placeOf(40, 0), "elsewhere");
  assert.equal(pacing.placeOf(0.9, 0), "here");
});

Deno.test("RunPacing ends a streak of quick runs before it has lasted four milliseconds", () => {
  const pacing = new RunPacing();
  pacing.turned(0);
  let nowMs = 0;
  let runs = 0;
  while (pacing.placeOf(0.5, nowMs) === "here") {
    nowMs += 0.5;
    pacing.endHere(0.5, nowMs);
    nowMs += 0.1; // what happens between runs counts too
    runs++;
  }
  assert.equal(runs, 6);
  assert.ok(nowMs < 4.21);
  assert.equal(pacing.placeOf(0.5, nowMs), "after a turn");
  pacing.turned(nowMs);
  assert.equal(pacing.placeOf(0.5, nowMs), "here");
});

Deno.test("RunPacing takes a long pause for a turn of the event loop, mostly", () => {
  const pacing = new RunPacing();
  let nowMs = 0;
  let here = 0;
  for (let run = 0; run < 100; run++) {
    nowMs += 1000;
    if (pacing.placeOf(0.01, nowMs) === "here") {
      here++;
      pacing.endHere(0.01, nowMs + 0.01);
    } else pacing.turned(nowMs);
  }
  assert.ok(here >= 60, `${here} of 100 runs a second apart needed no turn`);
});

Deno.test("RunPacing counts what lies between bursts as part of the streak", () => {
  const pacing = new RunPacing();
  pacing.turned(0);
  const runs = Float64Array.of(0.4);
  let nowMs = 0;
  while (pacing.burstOf(runs, 0, nowMs) === 1) {
    nowMs += 0.4;
    pacing.endHere(0.4, nowMs);
    nowMs += 0.4;
  }
  assert.ok(nowMs < 4.81, `the event loop waited ${nowMs} ms`);
});
