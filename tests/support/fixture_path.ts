// Where the test data lie.

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The folder tests/fixtures. */
export const FIXTURES: string = join(import.meta.dirname ?? "", "..", "fixtures");

/** A path below tests/fixtures. */
export function fixturePath(...parts: readonly string[]): string {
  return join(FIXTURES, ...parts);
}

/** The bytes of a file below tests/fixtures. */
export function readFixture(...parts: readonly string[]): Uint8Array {
  return new Uint8Array(readFileSync(fixturePath(...parts)));
}
