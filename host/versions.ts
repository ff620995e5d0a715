// Which Hookline this is and what it runs on, for headers of traces and reports.

import process from "node:process";

/** The version of Hookline; a test holds it against deno.json. */
export const HOOKLINE_VERSION = "0.1.0";

/** The JavaScript runtime and its version, such as `deno 2.9.6` or `node 24.1.0`. */
export function runtimeVersion(): string {
  const { versions } = process as { readonly versions?: Readonly<Record<string, string>> };
  if (versions?.["deno"] !== undefined) return `deno ${versions["deno"]}`;
  return `node ${versions?.["node"] ?? "unknown"}`;
}
