// The trace that environment variables ask for. It knows their names; reading them, and whether that is
// allowed, is the caller's.

import { HooklineError } from "../../mod.ts";
import type { ActivationTraceOptions } from "./options.ts";

/** The option that each variable stands for, beside `HOOKLINE_TRACE_ACTIVATIONS`, the switch. */
export const TRACE_VARIABLES = {
  layers: "HOOKLINE_TRACE_LAYERS",
  stats: "HOOKLINE_TRACE_STATS",
  output: "HOOKLINE_TRACE_OUTPUT",
  steps: "HOOKLINE_TRACE_STEPS",
} as const;

/** Of its own, so that a script that traces by itself can be traced from outside too. */
const NAME = "activation-trace-environment";

/** The options that the variables hold; `read` gives undefined for one that is not set or not readable. */
export function optionsFromVariables(
  read: (variable: string) => string | undefined,
): ActivationTraceOptions {
  return {
    name: NAME,
    layers: read(TRACE_VARIABLES.layers) ?? "",
    stats: read(TRACE_VARIABLES.stats) ?? "",
    output: read(TRACE_VARIABLES.output) ?? "",
    steps: read(TRACE_VARIABLES.steps) ?? "",
  };
}

/** The same error, with the variable that it comes from. */
export function nameVariable(error: unknown): unknown {
  if (!(error instanceof HooklineError) || error.code !== "OPTION_INVALID") return error;
  const option = error.details["option"];
  if (typeof option !== "string" || !Object.hasOwn(TRACE_VARIABLES, option)) return error;
  const variable = TRACE_VARIABLES[option as keyof typeof TRACE_VARIABLES];
  return new HooklineError(error.code, {
    message: `${error.message} (from ${variable})`,
    fix: error.fix,
    details: { ...error.details, variable },
    cause: error,
  });
}
