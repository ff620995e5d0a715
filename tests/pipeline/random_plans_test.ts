// Random programs with random hooks against an interpreter that knows scoping and nothing of graphs:
// the test of region and event_schedule. A failure names its seed.

import assert from "node:assert/strict";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { callMapOf, FixedStructure, openStructure } from "./_fixed_structure.ts";
import { modelOfProgram, operationsOf, Random, randomProgram, shuffled } from "./_program.ts";
import { type HookPlans, modelHook, randomHooks, tensorsOf, valuesOf } from "./_random_hooks.ts";
import { digest, type HookPlan, runReference, type Sight, type Values } from "./_reference.ts";

const SEEDS = Number(Deno.env.get("HOOKLINE_TEST_SEEDS") ?? 150);
const FIRST = Number(Deno.env.get("HOOKLINE_TEST_FIRST_SEED") ?? 1);

interface Case {
  readonly seed: number;
  readonly kinds: readonly HookPlan["access"][];
  readonly isShuffled: boolean;
}

function randomFeeds(random: Random): Values {
  const numbers = (count: number) =>
    Int32Array.from({ length: count }, () => random.below(19) - 9);
  return {
    flag: Int32Array.of(random.below(2)),
    x0: numbers(16),
    x1: numbers(16),
    x2: numbers(8),
    unused: numbers(16),
  };
}

async function check({ seed, kinds, isShuffled }: Case): Promise<void> {
  const random = new Random(seed);
  const program = randomProgram(random);
  const order = isShuffled ? shuffled(program, random) : operationsOf(program.body);
  const hooks = randomHooks(program, random, kinds);
  const feeds = randomFeeds(random);
  const expected: Sight[] = [];
  const wanted = runReference(program, feeds, hooks, expected);
  const structure = new FixedStructure(modelOfProgram(program, order), callMapOf(program));
  await using model = await openStructure(structure);
  const sights: Sight[] = [];
  for (const [path, plans] of hooks) {
    for (const plan of plans) {
      model.registry(path).register(
        modelHook(program, plan, { sights, isAsync: random.chance(0.2) }),
      );
    }
  }
  const outputs = valuesOf(await model.run(tensorsOf(program, feeds)));
  assert.equal(digest(outputs), digest(wanted), "outputs");
  if (!isShuffled) assert.deepEqual(sights, expected, "what hooks saw, in order");
  else assert.deepEqual(sortedSights(sights), sortedSights(expected), "what hooks saw");
  if (isShuffled) {
    // Whatever order it is, it is the same for every plan.
    const first = places(sights);
    sights.length = 0;
    const split = { plan: model.plan({ split: "**" }) };
    assert.equal(digest(valuesOf(await model.run(tensorsOf(program, feeds), split))), digest(wanted));
    assert.deepEqual(places(sights), first, "order when cut everywhere");
    assertNested(hooks, first);
  }
}

function places(sights: readonly Sight[]): string[] {
  return sights.map(({ phase, hook, path, callIndex }) => `${phase} ${path}#${callIndex} ${hook}`);
}

function sortedSights(sights: readonly Sight[]): string[] {
  return sights.map((sight) => JSON.stringify(sight)).sort();
}

/** Calls open and close like brackets. */
function assertNested(hooks: HookPlans, events: readonly string[]): void {
  const open: string[] = [];
  const isWhole = (path: string) =>
    (hooks.get(path) ?? []).some((hook) => hook.pre && hook.post && hook.name === "a");
  for (const event of events) {
    const [phase, call, hook] = event.split(" ") as [string, string, string];
    if (hook !== "a" || !isWhole(call.slice(0, call.indexOf("#")))) continue;
    if (phase === "pre") open.push(call);
    if (phase === "post") assert.equal(open.pop(), call, events.join(", "));
  }
}

async function checkMany(options: Omit<Case, "seed">): Promise<void> {
  const failures: string[] = [];
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      await check({ ...options, seed });
    } catch (error) {
      failures.push(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`);
    }
    assert.equal(sessionLedger.count, 0, `seed ${seed} left sessions open`);
  }
  assert.ok(
    failures.length === 0,
    `${failures.length} of ${SEEDS} failed\n${failures.slice(0, 6).join("\n").slice(0, 6000)}`,
  );
}

const ACCESSES: readonly (readonly HookPlan["access"][])[] = [
  ["observe"],
  ["observe", "edit"],
  ["observe", "edit", "replace"],
];

for (const kinds of ACCESSES) {
  for (const isShuffled of [false, true]) {
    const order = isShuffled ? "in any file order" : "in program order";
    Deno.test(`hooks (${kinds.join(", ")}) mean what PyTorch's mean, nodes ${order}`, async () => {
      await checkMany({ kinds, isShuffled });
    });
  }
}
