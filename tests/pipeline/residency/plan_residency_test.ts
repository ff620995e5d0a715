import assert from "node:assert/strict";
import type { PlanStep, SegmentStep } from "../../../pipeline/plan.ts";
import { PlanResidency } from "../../../pipeline/residency/plan_residency.ts";
import { makeSchedule, type ResidencySchedule } from "../../../pipeline/residency/schedule.ts";
import type { WeightStream } from "../../../pipeline/residency/weight_stream.ts";
import { fakeWeights, fakeWish, MEANS } from "./_fakes.ts";

const segment = (index: number): SegmentStep => ({
  kind: "segment",
  index,
  nodes: [index],
  isWhole: false,
  inputs: [],
  outputs: [],
  taps: [],
});
const module = (path: string, steps: readonly PlanStep[]): PlanStep => ({
  kind: "module",
  module: path,
  callIndex: 0,
  because: "residency",
  inputs: [],
  outputs: [],
  steps,
});

const SCHEDULE = makeSchedule({
  wishes: [fakeWish("a", { ahead: 1 }), fakeWish("b", { ahead: 1 }, [1])],
  means: MEANS,
  weightsOf: ({ path }) => fakeWeights(path, 10),
  activationsOf: () => null,
  modelByteLength: 20,
}) as ResidencySchedule;

Deno.test("PlanResidency knows the segments of streamed modules, in spans and with taps inside", async () => {
  const log: string[] = [];
  const stream: WeightStream = {
    comesByItself: true,
    keepsSessions: true,
    encode: ({ module }) => Promise.reject(new Error(`encode ${module}`)),
    opened: (sessions) => void log.push(`opened ${sessions.length}`),
    fetch: (path) => Promise.resolve(void log.push(`+${path}`)),
    release: (path) => Promise.resolve(void log.push(`-${path}`)),
    session: () => ({ run: () => Promise.resolve({}) }),
    closed: () => Promise.resolve(void log.push("closed")),
  };
  const steps = [
    segment(0),
    module("a", [segment(1), module("a.mlp", [segment(2)])]),
    module("span", [module("b", [segment(3)])]),
  ];
  const residency = new PlanResidency({ schedule: SCHEDULE, steps, stream });
  assert.deepEqual([0, 1, 2, 3].map((index) => residency.streams(segment(index))), [
    false,
    true,
    true,
    true,
  ]);
  assert.equal(residency.session(segment(0)), null);
  assert.notEqual(residency.session(segment(2)), null);
  assert.equal(await residency.encode(segment(0), new Map()), null);
  await assert.rejects(residency.encode(segment(2), new Map()), /encode a/);
  residency.opened([null, null]);
  const run = residency.begin();
  await run.around("a", () => Promise.resolve());
  await run.end();
  await residency.closed();
  assert.deepEqual(log, ["opened 2", "+a", "+b", "-a", "-b", "closed"]);
});
