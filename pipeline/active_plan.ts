// Which plan the next run takes, and the plans that were taken before. The current one holds its
// sessions open; one that is left behind gives them to the pool, where they wait for its return. It
// knows no hooks: what decides whether a plan still serves comes in as a version and a key.

import { CompiledPlan, type PlanHost } from "./compiled_plan.ts";
import type { Plan } from "./plan.ts";

/** A plan that is ready or getting ready, with what it was made for. */
interface Active {
  readonly version: number;
  readonly key: string;
  readonly compiled: CompiledPlan;
  readonly ready: Promise<unknown>;
}

const PLANS_KEPT = 8;

/** The plans of one model by their use. */
export class ActivePlan {
  readonly #host: PlanHost;
  readonly #compiled = new Map<string, CompiledPlan>();
  #active: Active | null = null;
  #plans = new Map<string, Plan>();
  #plansVersion = 0;
  /** What failed where nobody waited. */
  readonly #failures: unknown[] = [];

  constructor(host: PlanHost) {
    this.#host = host;
  }

  /** The current plan if it serves this version and key, else null. */
  current(version: number, key: string): CompiledPlan | null {
    const active = this.#active;
    return active !== null && active.version === version && active.key === key
      ? active.compiled
      : null;
  }

  /** Makes a plan the current one; `make` is asked when none is known for this version and key. */
  activate(version: number, key: string, make: () => Plan): Active {
    const before = this.#active;
    if (before !== null && before.version === version && before.key === key) return before;
    const compiled = this.compile(this.#planFor(version, key, make));
    const active: Active = { version, key, compiled, ready: compiled.hold() };
    this.#active = active;
    active.ready.catch(() => {
      if (this.#active === active) this.#active = null; // the next run tries again
    });
    if (before !== null) {
      before.ready.then(() => before.compiled.release(), () => {})
        .catch((error: unknown) => this.#failures.push(error));
    }
    return active;
  }

  /** The runnable form of a plan, the same one for as long as it is kept. */
  compile(plan: Plan): CompiledPlan {
    const compiled = this.#compiled.get(plan.hash) ?? new CompiledPlan(plan, this.#host);
    this.#compiled.delete(plan.hash);
    this.#compiled.set(plan.hash, compiled); // last used last
    for (const [hash, oldest] of this.#compiled) {
      if (this.#compiled.size <= PLANS_KEPT) break;
      this.#compiled.delete(hash);
      oldest.forget();
    }
    return compiled;
  }

  /** Lets go of the current plan. Returns what failed since the start where nobody waited. */
  async close(): Promise<readonly unknown[]> {
    const active = this.#active;
    this.#active = null;
    if (active !== null) {
      const isReady = await active.ready.then(() => true, () => false); // a run reported why not
      if (isReady) {
        await active.compiled.release().catch((error: unknown) => this.#failures.push(error));
      }
    }
    return this.#failures;
  }

  /** Runs that alternate between two plans do not plan anew. */
  #planFor(version: number, key: string, make: () => Plan): Plan {
    if (this.#plansVersion !== version) {
      this.#plansVersion = version;
      this.#plans = new Map();
    }
    const plan = this.#plans.get(key) ?? make();
    if (this.#plans.size >= PLANS_KEPT) this.#plans.clear();
    this.#plans.set(key, plan);
    return plan;
  }
}
