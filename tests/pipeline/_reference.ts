// What hooks mean, said by scoping: a module call has its own names, an edited input is seen inside
// alone, an edited output outside alone. It evaluates a program statement by statement in plain
// TypeScript and calls hooks as PyTorch does.

import { borderOf, type Call, type Operation, type Program, type Statement } from "./_program.ts";

/** Values by name; `flag` holds 0 or 1. */
export type Values = Readonly<Record<string, Int32Array>>;

/** One call, as a test hook sees it. */
export interface Site {
  readonly path: string;
  readonly callIndex: number;
}

/** A hook of the random tests: pure functions of values, used by the reference and by Hookline alike. */
export interface HookPlan {
  readonly name: string;
  readonly access: "observe" | "edit" | "replace";
  readonly observes?: "raw" | "final";
  readonly readsInputs?: boolean;
  readonly pre?: (site: Site, inputs: Values) => Values | undefined;
  readonly post?: (site: Site, outputs: Values) => Values | undefined;
  /** Returns what to give the original, or null to skip it. */
  readonly given?: (site: Site, inputs: Values) => Values | null;
  /** Makes the outputs from the original's, or from nothing when it was skipped. */
  readonly made?: (site: Site, names: readonly string[], outputs: Values | null) => Values;
}

/** What a hook saw. */
export interface Sight {
  readonly phase: "pre" | "new" | "post";
  readonly hook: string;
  readonly path: string;
  readonly callIndex: number;
  readonly seen: string;
  /** The inputs that a post was given beside its outputs. */
  readonly inputs: string | null;
}

/** Values as short text, by name. */
export function digest(values: Values): string {
  return Object.keys(values).sort().map((name) => `${name}=${[...values[name] ?? []].join(",")}`)
    .join(";");
}

/** Runs a program with hooks and returns its outputs; `sights` gets what every hook saw. */
export function runReference(
  program: Program,
  feeds: Values,
  hooks: ReadonlyMap<string, readonly HookPlan[]>,
  sights: Sight[],
): Values {
  const constants = new Map([...program.weights, ...program.constants]);
  const reference = new Reference(program, constants, hooks, sights);
  const scope = new Map(Object.entries(feeds));
  const made = reference.call(
    { kind: "call", path: "", callIndex: 0, body: program.body },
    scope,
  );
  for (const [name, value] of Object.entries(made)) scope.set(name, value);
  return Object.fromEntries(
    program.outputs.map((name) => [name, scope.get(name) ?? constants.get(name) as Int32Array]),
  );
}

class Reference {
  constructor(
    readonly program: Program,
    readonly constants: ReadonlyMap<string, Int32Array>,
    readonly hooks: ReadonlyMap<string, readonly HookPlan[]>,
    readonly sights: Sight[],
  ) {}

  call(call: Call, outer: ReadonlyMap<string, Int32Array>): Values {
    const { inputs, outputs } = borderOf(this.program, call);
    const given = pick(outer, inputs);
    const hooks = this.hooks.get(call.path) ?? [];
    const forward = (values: Values): Values => {
      const scope = new Map(Object.entries(values));
      this.#run(call.body, scope);
      return pick(scope, outputs);
    };
    if (hooks.length === 0) return forward(given);
    const site = { path: call.path, callIndex: call.callIndex };
    const byName = [...hooks].sort((left, right) => left.name < right.name ? -1 : 1);
    const raw = byName.filter((hook) => hook.access === "observe" && hook.observes === "raw");
    const final = byName.filter((hook) => hook.access === "observe" && hook.observes !== "raw");
    const edits = byName.filter((hook) => hook.access === "edit");
    const replacer = byName.find((hook) => hook.access === "replace");
    const onion = replacer === undefined ? edits : [...edits, replacer];
    let current = given;
    for (const hook of [...raw, ...onion, ...final]) {
      if (hook.pre === undefined) continue;
      const seen = readsInputs(hook) ? current : {};
      this.#sight("pre", hook, site, seen);
      current = { ...current, ...hook.pre(site, seen) };
    }
    const entered = current;
    let made: Values;
    if (replacer === undefined) made = forward(entered);
    else {
      this.#sight("new", replacer, site, entered);
      const change = replacer.given?.(site, entered);
      const original = change === null ? null : forward({ ...entered, ...change });
      made = replacer.made?.(site, outputs, original) ?? {};
    }
    for (const hook of [...raw, ...onion.toReversed(), ...final]) {
      if (hook.post === undefined) continue;
      const inputsSeen = !readsInputs(hook)
        ? null
        : hook.access === "observe" && hook.observes === "raw"
        ? given
        : entered;
      this.#sight("post", hook, site, made, inputsSeen);
      made = { ...made, ...hook.post(site, made) };
    }
    return made;
  }

  #sight(
    phase: Sight["phase"],
    hook: HookPlan,
    site: Site,
    seen: Values,
    inputs: Values | null = null,
  ): void {
    this.sights.push({
      phase,
      hook: hook.name,
      ...site,
      seen: digest(seen),
      inputs: inputs === null ? null : digest(inputs),
    });
  }

  #run(body: readonly Statement[], scope: Map<string, Int32Array>): void {
    for (const statement of body) {
      const made = statement.kind === "call"
        ? this.call(statement, scope)
        : this.#compute(statement, scope);
      for (const [name, value] of Object.entries(made)) scope.set(name, value);
    }
  }

  #compute(operation: Operation, scope: ReadonlyMap<string, Int32Array>): Values {
    const read = (index: number): Int32Array => {
      const name = operation.inputs[index] as string;
      return scope.get(name) ?? this.constants.get(name) as Int32Array;
    };
    const [first, second] = operation.outputs as [string, string?];
    const each = (combine: (left: number, right: number) => number): Values => {
      const [left, right] = [read(0), read(1)];
      return {
        [first]: left.map((value, index) => combine(value, right[index % right.length] as number)),
      };
    };
    const { op } = operation;
    const isThen = scope.get("flag")?.[0] === 1;
    if (op === "Add" || (op === "If" && !isThen)) return each((left, right) => left + right | 0);
    if (op === "Sub" || op === "If") return each((left, right) => left - right | 0);
    if (op === "Mul") return each(Math.imul);
    if (op === "Max") return each(Math.max);
    if (op === "Neg") return { [first]: read(0).map((value) => -value | 0) };
    if (op === "Abs") return { [first]: read(0).map((value) => Math.abs(value) | 0) };
    if (op === "MatMul") return { [first]: matmul(read(0), read(1)) };
    if (op === "Concat") return { [first]: Int32Array.of(...read(0), ...read(1)) };
    if (op === "Split") {
      return { [first]: read(0).slice(0, 8), [second as string]: read(0).slice(8) };
    }
    throw new Error(`no operation ${op}`);
  }
}

function readsInputs(hook: HookPlan): boolean {
  return hook.access === "replace" || (hook.readsInputs ?? hook.pre !== undefined);
}

function pick(scope: ReadonlyMap<string, Int32Array>, names: readonly string[]): Values {
  return Object.fromEntries(names.map((name) => [name, scope.get(name) as Int32Array]));
}

function matmul(left: Int32Array, right: Int32Array): Int32Array {
  return Int32Array.from({ length: left.length }, (_, index) => {
    const row = index - index % 4;
    let sum = 0;
    for (let at = 0; at < 4; at++) {
      sum = sum + Math.imul(left[row + at] as number, right[at * 4 + index % 4] as number) | 0;
    }
    return sum;
  });
}
