// Runs `deno doc --lint` over all entry points at once, so that a type which one of them exports is
// public for all of them.
// Usage: deno task docs

import process from "node:process";
import { ROOT } from "../suites.ts";
import { entryPoints } from "./public_exports.ts";

const files = Object.values(entryPoints());
if (files.length === 0) console.log("deno.json names no entry point that exists yet");
else {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...files],
    cwd: ROOT,
    stdout: "null",
  }).spawn().status;
  if (code === 0) console.log(`documented: ${files.length} entry points`);
  process.exit(code);
}
