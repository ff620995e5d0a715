import assert from "node:assert/strict";
import type { ModuleStep, Plan, PlanStep, SegmentStep } from "../../pipeline/plan.ts";
import { PlanRows } from "../../pipeline/plan_rows.ts";
import type { ChainLink, Engine, EngineSession, SessionChain } from "../../sessions/engine.ts";

function segment(index: number): SegmentStep {
  return {
    kind: "segment",
    index,
    nodes: [index],
    isWhole: false,
    inputs: [`v${index}`],
    outputs: [`v${index + 1}`],
    taps: [],
  };
}

/** Four modules of a segment each. */
const STEPS: readonly PlanStep[] = [0, 1, 2, 3].map((index): ModuleStep => ({
  kind: "module",
  module: `m${index}`,
  because: "",
  callIndex: 0,
  inputs: [`v${index}`],
  outputs: [`v${index + 1}`],
  steps: [segment(index)],
}));

/** Rows over an engine whose chains note what becomes of them. */
function rows(): {
  readonly rows: PlanRows;
  readonly log: string[];
  readonly sessions: EngineSession[];
} {
  const log: string[] = [];
  const engine = {
    chain(links: readonly ChainLink[]): SessionChain {
      const name = String(links.length);
      log.push(`made ${name}`);
      return {
        run: () => Promise.reject(new Error("not asked for")),
        rest: () => void log.push(`rests ${name}`),
        release: () => void log.push(`released ${name}`),
      };
    },
  } as Partial<Engine> as Engine;
  const sessions = STEPS.map(() => ({}) as EngineSession);
  const plan = { steps: STEPS, outputs: ["v4"] } as Partial<Plan> as Plan;
  return {
    rows: new PlanRows({ plan, engine, sessions, comesByItself: () => true }),
    log,
    sessions,
  };
}

Deno.test("PlanRows leaves out what hooks look at, and keeps the rows of each such set", () => {
  const { rows: made, log } = rows();
  const lengths = (seen: readonly string[]) =>
    [...made.beside(seen).values()].map(({ row }) => row.segments.length);
  assert.deepEqual(lengths([]), [4]);
  assert.deepEqual(lengths(["m0"]), [3]);
  assert.deepEqual(lengths(["m1"]), [2]);
  assert.deepEqual(lengths(["m0", "m1", "m2"]), []);
  assert.deepEqual(lengths(["m0"]), [3]);
  assert.deepEqual(log, ["made 4", "made 3", "made 2"]);
  log.length = 0;
  made.rest();
  made.release();
  assert.deepEqual(
    log,
    [4, 3, 2].flatMap((n) => `rests ${n}`).concat([4, 3, 2].map((n) => `released ${n}`)),
  );
});

Deno.test("PlanRows keeps the rows of eight sets, and runs others step by step", () => {
  const { rows: made } = rows();
  for (let index = 0; index < 8; index++) assert.equal(made.beside([`other${index}`]).size, 1);
  assert.equal(made.beside(["other8"]).size, 0);
  assert.equal(made.beside(["other0"]).size, 1);
});

Deno.test("PlanRows knows whose rows they are", () => {
  const { rows: made, sessions } = rows();
  assert.ok(made.isOf(sessions));
  assert.ok(made.isOf([...sessions]));
  assert.ok(!made.isOf([...sessions.slice(1), sessions[0] as EngineSession]));
});
