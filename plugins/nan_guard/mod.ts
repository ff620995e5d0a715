/**
 * NaN guard: stops a run at the first module that puts out NaN or an infinity, and says which one.
 *
 * Modules are checked in execution order, inner ones before the modules around them, so the first to
 * fail is the innermost module whose output is not finite. When the model's own inputs already hold such
 * a value, that is what the error says.
 *
 * @module
 */

import {
  type ForwardCall,
  HooklineError,
  type Model,
  ModelHook,
  type ModuleSelector,
  type Plugin,
  type Tensor,
  type TensorMap,
} from "../../mod.ts";

const NAME = "nan-guard";
const OPTIONS: readonly string[] = ["modules", "infinities"] satisfies (keyof NanGuardOptions)[];

/** Options of {@linkcode nanGuard}. */
export interface NanGuardOptions {
  /** Modules to watch; every module that can be observed when left out. */
  readonly modules?: ModuleSelector;
  /** Whether infinities are faults too; true by default. Attention masks made of −Infinity need false. */
  readonly infinities?: boolean;
}

/** How many elements of a tensor are not finite, and where the first of them is. */
interface Fault {
  readonly nanCount: number;
  readonly infinityCount: number;
  readonly firstIndex: number;
}

class Guard extends ModelHook {
  override readonly name = NAME;

  constructor(readonly countsInfinities: boolean) {
    super();
  }

  override postForward(call: ForwardCall, outputs: TensorMap): void {
    check(call, { kind: "output", values: outputs, countsInfinities: this.countsInfinities });
  }
}

/** On the root: tells a broken input from a module that breaks. */
class InputGuard extends Guard {
  override readonly readsInputs = true;

  override preForward(call: ForwardCall, inputs: TensorMap): void {
    check(call, { kind: "input", values: inputs, countsInfinities: this.countsInfinities });
  }
}

/**
 * Makes the plugin.
 *
 * @throws {HooklineError} OPTION_INVALID for an unknown option; when attached, HOOK_MATCH_EMPTY for a selector that matches nothing. A run
 * fails with HOOK_THROWN whose cause is VALUE_NOT_FINITE: its details name module, value and index.
 *
 * @example
 * ```ts
 * import { loadInputs, openModel } from "@hookline/hookline";
 * import { nanGuard } from "@hookline/hookline/plugins/nan-guard";
 * await using model = await openModel("bert.onnx");
 * using _guard = nanGuard().attach(model, { modelName: "bert" }) as Disposable;
 * await model.run(await loadInputs({ dir: "bert" }, model.inputs)); // every module is finite
 * ```
 */
export function nanGuard(options: NanGuardOptions = {}): Plugin {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot make a NaN guard: there is no option "${unknown.slice(0, 80)}"`,
      fix: `use some of ${OPTIONS.join(", ")}`,
      details: { option: unknown.slice(0, 80) },
    });
  }
  const countsInfinities = options.infinities ?? true;
  return {
    name: NAME,
    attach(model: Model): Disposable {
      const selected = options.modules === undefined
        ? model.modules
        : model.select(options.modules);
      using stack = new DisposableStack();
      stack.use(model.registry("").register(new InputGuard(countsInfinities), { plugin: NAME }));
      for (const { path, insideBody, calls } of selected) {
        if (path === "" || insideBody !== null || calls.length === 0) continue;
        stack.use(model.registry(path).register(new Guard(countsInfinities), { plugin: NAME }));
      }
      return stack.move();
    },
  };
}

function check(
  call: ForwardCall,
  { kind, values, countsInfinities }: {
    readonly kind: "input" | "output";
    readonly values: TensorMap;
    readonly countsInfinities: boolean;
  },
): void {
  for (const [name, value] of Object.entries(values)) {
    const fault = faultOf(value, countsInfinities);
    if (fault === null) continue;
    const where = call.module.path === "" ? "the model" : `module "${call.module.path}"`;
    throw new HooklineError("VALUE_NOT_FINITE", {
      message: kind === "input"
        ? `cannot go on: input "${name}" of ${where} holds ${told(fault)} before any module ran`
        : `cannot go on: ${where} is the first to put out ${
          told(fault)
        }, in "${name}" at element ${fault.firstIndex}`,
      fix: kind === "input"
        ? "check how the input is made"
        : "look at this module's inputs and weights; pass { infinities: false } when infinities are meant",
      details: {
        module: call.module.path,
        value: name,
        callIndex: call.callIndex,
        step: call.step,
        nanCount: fault.nanCount,
        infinityCount: fault.infinityCount,
        firstIndex: fault.firstIndex,
        elementCount: value.data.length,
      },
    });
  }
}

function faultOf(value: Tensor, countsInfinities: boolean): Fault | null {
  const { data } = value;
  const isFloat = data instanceof Float32Array || data instanceof Float64Array ||
    (typeof Float16Array === "function" && data instanceof Float16Array);
  if (!isFloat) return null;
  let nanCount = 0;
  let infinityCount = 0;
  let firstIndex = -1;
  for (let index = 0; index < data.length; index++) {
    const element = data[index] as number;
    if (element - element === 0) continue; // finite: the one test that both NaN and infinities fail
    if (Number.isNaN(element)) nanCount++;
    else if (countsInfinities) infinityCount++;
    else continue;
    if (firstIndex === -1) firstIndex = index;
  }
  return firstIndex === -1 ? null : { nanCount, infinityCount, firstIndex };
}

function told(fault: Fault): string {
  const parts = [];
  if (fault.nanCount > 0) parts.push(`${fault.nanCount} NaN`);
  if (fault.infinityCount > 0) parts.push(`${fault.infinityCount} infinities`);
  return parts.join(" and ");
}
