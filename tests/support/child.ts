// Scripts of the tests in processes of their own: for what would end, or outlive, the tests' own process.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

/** What a script printed, after it has ended well. */
export function inChild(script: URL, flags: readonly string[]): string {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-lock", "--quiet", ...flags, fileURLToPath(script)],
    env: { ORT_DISABLE_TELEMETRY: "1" },
  }).outputSync();
  const decoder = new TextDecoder();
  assert.equal(code, 0, decoder.decode(stderr));
  return decoder.decode(stdout);
}
