import assert from "node:assert/strict";
import { CompiledPlan, type PlanHost } from "../../pipeline/compiled_plan.ts";
import { splitDemand } from "../../pipeline/demand.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { segmentsOf } from "../../pipeline/plan.ts";
import { makePlan } from "../../pipeline/planner.ts";
import { SessionPool } from "../../pipeline/session_pool.ts";
import { ValueTypes } from "../../pipeline/value_types.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";
import { SpyEngine } from "./_spy_engine.ts";

function host(idleByteBudget = 1e6) {
  const structure = new ModelStructure(chainModel());
  const engine = new SpyEngine();
  const made: PlanHost = {
    structure,
    engine,
    provider: "cpu",
    optimization: "all",
    threads: 1,
    pool: new SessionPool(idleByteBudget),
    types: new ValueTypes(structure, engine),
  };
  const compile = (...paths: readonly string[]): CompiledPlan => {
    const demands = paths.map((path) =>
      splitDemand(structure.tree.get(path) ?? assert.fail(path), "")
    );
    const { graph, hash } = structure;
    return new CompiledPlan(
      makePlan({ graph, demands, structureHash: hash, orderKeys: {} }),
      made,
    );
  };
  return { engine, pool: made.pool, compile };
}

Deno.test("CompiledPlan opens its sessions with the first hold and keeps them to the last release", async () => {
  const { engine, pool, compile } = host(0);
  const compiled = compile("layers.0");
  assert.equal(engine.opened.length, 0);
  assert.deepEqual(await Promise.all([compiled.hold(), compiled.hold()]), [null, null]);
  assert.equal(engine.sessions.length, 2);
  const [head, tail] = segmentsOf(compiled.plan.steps);
  assert.ok(head !== undefined && tail !== undefined);
  const values = await compiled.session(head).run(chainFeeds(1));
  assert.equal(first(await compiled.session(tail).run(values)), chainOutput(1));
  await compiled.release();
  assert.equal(sessionLedger.count, 2);
  await compiled.release();
  assert.equal(sessionLedger.count, 0);
  assert.throws(() => compiled.session(head), /has no session/);
  await pool.close();
});

Deno.test("CompiledPlan gives out the whole plan's session", async () => {
  const { engine, pool, compile } = host();
  const compiled = compile();
  assert.equal(compiled.whole, null);
  const session = await compiled.hold();
  assert.equal(session, engine.sessions[0]?.session);
  assert.equal(compiled.whole, session);
  await compiled.release();
  assert.equal(compiled.whole, null);
  assert.equal(await compiled.hold(), session, "it waited in the pool");
  await compiled.release();
  await pool.close();
  assert.equal(sessionLedger.count, 0);
});

Deno.test("CompiledPlan that failed to open can be held again, also at once", async () => {
  const { engine, pool, compile } = host(0);
  const compiled = compile("layers.0");
  let count = 0;
  engine.onOpen = ({ label }) => {
    if (label !== "type probe" && ++count === 2) throw new Error("no memory");
  };
  const first = compiled.hold().catch(() => compiled.hold());
  const second = compiled.hold().catch(() => compiled.hold());
  await Promise.all([first, second]);
  assert.equal(sessionLedger.count, 2);
  await compiled.release();
  await compiled.release();
  assert.equal(sessionLedger.count, 0);
  await pool.close();
});

Deno.test("CompiledPlan shares the segments that plans have in common", async () => {
  const { engine, pool, compile } = host();
  const [one, two] = [compile("layers.0", "layers.1"), compile("layers.0", "layers.2.scale")];
  await one.hold();
  assert.equal(engine.sessions.length, 3);
  await two.hold();
  assert.equal(engine.sessions.length, 5, "layers.0 is one session");
  await one.release();
  await two.release();
  await pool.close();
  assert.equal(sessionLedger.count, 0);
});
