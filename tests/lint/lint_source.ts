// Runs the house rules over a piece of source as if it stood at a repo path.

import plugin from "../../lint/plugin.ts";

/** The ids of the findings, such as `hookline/layering`, in order of appearance. */
export function findings(path: string, source: string): string[] {
  return diagnostics(path, source).map((diagnostic) => diagnostic.id);
}

/** The findings themselves, for tests of messages and hints. */
export function diagnostics(path: string, source: string): Deno.lint.Diagnostic[] {
  return Deno.lint.runPlugin(plugin, path, source);
}
