// Where temporary files belong. `os.tmpdir()` reads the environment whether it may or not, which prompts
// under Deno; this one takes what it may read and falls back to the system's own place.

import process from "node:process";
import { readVariable } from "./environment.ts";

const VARIABLES: readonly string[] = ["TMPDIR", "TMP", "TEMP"];

/** The folder for temporary files, without a separator at its end. Never prompts. */
export function temporaryFolder(): string {
  for (const name of VARIABLES) {
    const value = readVariable(name);
    if (value !== undefined && value !== "") return value.replace(/(?<=.)[/\\]+$/, "");
  }
  return process.platform === "win32" ? "C:\\Windows\\Temp" : "/tmp";
}
