// How much memory the machine has, where this process may know that. Never a prompt.

import { totalmem } from "node:os";
import { isGranted } from "./environment.ts";

/** Bytes of memory of the machine; null where this process may not ask. */
export function systemMemoryByteLength(): number | null {
  if (!isGranted({ name: "sys", kind: "systemMemoryInfo" })) return null;
  try {
    return totalmem();
  } catch {
    return null; // Node's own permission model
  }
}
