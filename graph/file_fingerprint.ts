// Tells whether a file is still the one that was read. A skeleton's references are offsets into a file:
// in another file of the same name they point at anything, and a run would be wrong without a word.

import { statSync } from "node:fs";

/** Size, time of change and identity of a file, as one text; `"absent"` when it cannot be looked at. */
export function fileFingerprint(path: string): string {
  try {
    const { size, mtimeMs, ino } = statSync(path);
    return `${size}:${mtimeMs}:${ino}`;
  } catch {
    return "absent";
  }
}
