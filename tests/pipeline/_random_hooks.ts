// Random hooks for random programs, and the ModelHook that runs a HookPlan on Hookline's tensors.

import { type ForwardCall, ModelHook, type OriginalForward } from "../../hooks/model_hook.ts";
import { emptyTensorMap, type Tensor, tensor, type TensorMap } from "../../tensor/tensor.ts";
import { callsOf, type Program, type Random, SHAPES } from "./_program.ts";
import { digest, type HookPlan, type Sight, type Site, type Values } from "./_reference.ts";

/** Hooks by module path. */
export type HookPlans = ReadonlyMap<string, readonly HookPlan[]>;

/** Random hooks on random modules; `kinds` says which accesses may occur. */
export function randomHooks(
  program: Program,
  random: Random,
  kinds: readonly HookPlan["access"][],
): HookPlans {
  const paths = [...new Set(callsOf(program).map(({ path }) => path))];
  const hooks = new Map<string, HookPlan[]>();
  const density = random.pick([0.15, 0.4, 0.9]);
  for (const path of paths) {
    if (!random.chance(density)) continue;
    const own: HookPlan[] = [];
    for (const letter of ["a", "b", "c"]) {
      if (letter !== "a" && !random.chance(0.3)) continue;
      const access = random.pick(kinds);
      const hasReplacer = own.some((hook) => hook.access === "replace");
      own.push(randomHook(program, random, {
        name: letter,
        access: access === "replace" && hasReplacer ? "observe" : access,
      }));
    }
    hooks.set(path, own);
  }
  return hooks;
}

function randomHook(
  program: Program,
  random: Random,
  { name, access }: { readonly name: string; readonly access: HookPlan["access"] },
): HookPlan {
  const factor = 3 + 2 * random.below(4);
  const change = (site: Site, values: Values): Values =>
    Object.fromEntries(
      Object.entries(values).filter(([value]) => value !== "flag").map(([value, data]) => [
        value,
        data.map((item) => Math.imul(item, factor) + site.callIndex + 1 | 0),
      ]),
    );
  const phases = random.pick([["pre"], ["post"], ["pre", "post"]]);
  const isObserver = access === "observe";
  const act = isObserver ? (): undefined => {} : change;
  const plan: HookPlan = {
    name,
    access,
    ...(isObserver ? { observes: random.pick(["raw", "final"] as const) } : {}),
    ...(random.chance(0.3) ? { readsInputs: random.chance(0.5) } : {}),
    ...(phases.includes("pre") ? { pre: act } : {}),
    ...(phases.includes("post") ? { post: act } : {}),
  };
  if (access !== "replace") return plan;
  const isSkipping = random.chance(0.5);
  return {
    ...plan,
    given: (site, inputs) => isSkipping ? null : change(site, inputs),
    made: (site, names, outputs) =>
      outputs !== null ? change(site, outputs) : Object.fromEntries(names.map((value) => {
        const size = (SHAPES[program.kinds.get(value) ?? "full"] as number[])[0] as number * 4;
        return [value, Int32Array.from({ length: size }, (_, at) => at * factor + site.callIndex)];
      })),
  };
}

/** Hookline's tensors as plain values. */
export function valuesOf(tensors: TensorMap): Values {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { data }]) => [
      name,
      Int32Array.from(data as ArrayLike<number>),
    ]),
  );
}

/** Plain values as Hookline's tensors. */
export function tensorsOf(program: Program, values: Values): TensorMap {
  const tensors = emptyTensorMap();
  for (const [name, data] of Object.entries(values)) {
    tensors[name] = name === "flag"
      ? tensor("bool", [], Uint8Array.from(data))
      : tensor("int32", SHAPES[program.kinds.get(name) ?? "full"], data);
  }
  return tensors;
}

/** A HookPlan as a hook; `isAsync` makes it return promises. */
export function modelHook(
  program: Program,
  plan: HookPlan,
  { sights, isAsync }: { readonly sights: Sight[]; readonly isAsync: boolean },
): ModelHook {
  return new PlannedHook(program, plan, sights, isAsync);
}

class PlannedHook extends ModelHook {
  override readonly name: string;
  override readonly access: HookPlan["access"];
  override readonly observes: "raw" | "final";
  declare readonly readsInputs?: boolean;

  constructor(program: Program, plan: HookPlan, sights: Sight[], isAsync: boolean) {
    super();
    this.name = plan.name;
    this.access = plan.access;
    this.observes = plan.observes ?? "final";
    if (plan.readsInputs !== undefined) this.readsInputs = plan.readsInputs;
    const later = <T>(value: T): T => isAsync ? Promise.resolve(value) as T : value;
    const see = (
      phase: Sight["phase"],
      call: ForwardCall,
      seen: TensorMap,
      inputs: TensorMap | null = null,
    ): Values => {
      const values = valuesOf(seen);
      sights.push({
        phase,
        hook: plan.name,
        ...siteOf(call),
        seen: digest(values),
        inputs: inputs === null ? null : digest(valuesOf(inputs)),
      });
      return values;
    };
    const tensors = (values: Values | undefined): TensorMap | undefined =>
      values === undefined ? undefined : tensorsOf(program, values);
    const { pre, post, given, made } = plan;
    if (pre !== undefined) {
      this.preForward = (call: ForwardCall, inputs: TensorMap) =>
        later(tensors(pre(siteOf(call), see("pre", call, inputs))));
    }
    if (post !== undefined) {
      this.postForward = (
        call: ForwardCall,
        outputs: TensorMap,
        inputs: TensorMap | null,
      ) => later(tensors(post(siteOf(call), see("post", call, outputs, inputs))));
    }
    if (given !== undefined && made !== undefined) {
      this.newForward = async (
        call: ForwardCall,
        inputs: TensorMap,
        original: OriginalForward,
      ) => {
        const site = siteOf(call);
        const change = given(site, see("new", call, inputs));
        const outputs: Record<string, Tensor> | null = change === null
          ? null
          : await original(tensorsOf(program, change));
        return tensorsOf(
          program,
          made(site, call.outputNames, outputs === null ? null : valuesOf(outputs)),
        );
      };
    }
  }
}

function siteOf(call: ForwardCall): Site {
  return { path: call.module.path, callIndex: call.callIndex };
}
