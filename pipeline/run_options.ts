// Checks how a model is to be run before anything begins. It knows the options' forms, not the model.

import { HooklineError } from "../errors/hookline_error.ts";
import { requireOptions } from "../errors/option_names.ts";

/**
 * Returns when the options of a run are of the right kind.
 *
 * @throws {HooklineError} OPTION_INVALID.
 */
export function checkRunOptions(options: unknown): void {
  requireOptions("run a model", options, ["signal", "outputs", "plan"]);
  const { signal, outputs, plan } = options as Readonly<Record<string, unknown>>;
  const isSignal = signal === undefined ||
    typeof (signal as Partial<AbortSignal> | null)?.throwIfAborted === "function";
  if (!isSignal) throw invalid("signal", "an AbortSignal", "pass the signal of an AbortController");
  checkOutputNames(outputs);
  if (plan !== undefined && (typeof plan !== "object" || plan === null)) {
    throw invalid("plan", "a plan", "pass what model.plan() returned");
  }
}

/**
 * Returns when the wanted outputs are left out or a list of names.
 *
 * @throws {HooklineError} OPTION_INVALID.
 */
export function checkOutputNames(outputs: unknown): void {
  if (outputs === undefined) return;
  if (Array.isArray(outputs) && outputs.every((name) => typeof name === "string")) return;
  const fix = typeof outputs === "string"
    ? `write outputs: [${JSON.stringify(outputs.slice(0, 80))}]`
    : "give names of the model's outputs in a list, or leave outputs out for all of them";
  throw invalid("outputs", "a list of names", fix);
}

function invalid(option: string, wanted: string, fix: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot run a model: its option ${option} is not ${wanted}`,
    fix,
    details: { option },
  });
}
