// Deno's own record of permission checks in a plugin's process. The runtime writes it, not the plugin's
// realm, so it also holds what the watch in the realm could be kept from seeing. It has no decisions:
// those follow from the rights that the process was started with.

import { readFileSync, rmSync } from "node:fs";
import { dirname, sep } from "node:path";
import type { HostSpec } from "./host_spec.ts";
import { grantedVariables } from "./hosted_module.ts";

/** A check as Deno writes it. */
interface RuntimeCheck {
  readonly permission: string;
  readonly value: string | null;
}

/**
 * The checks in Deno's file that the process's rights do not allow, each once. An unreadable file holds
 * none.
 */
export function deniedChecks(
  path: string,
  spec: HostSpec,
  read: readonly string[],
): readonly RuntimeCheck[] {
  const found = new Map<string, RuntimeCheck>();
  for (const line of readLines(path)) {
    const check = parse(line);
    if (check !== null && !isAllowed(check, spec, read)) {
      found.set(JSON.stringify([check.permission, check.value]), check);
    }
  }
  return [...found.values()];
}

/** Removes the file and the folder that was made for it. */
export function dropChecks(path: string): void {
  rmSync(dirname(path), { recursive: true, force: true });
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter((line) => line !== "");
  } catch {
    return [];
  }
}

function parse(line: string): RuntimeCheck | null {
  try {
    const { permission, value } = JSON.parse(line) as Record<string, unknown>;
    if (typeof permission !== "string") return null;
    return { permission, value: typeof value === "string" ? value : null };
  } catch {
    return null; // the last line of a process that was killed
  }
}

function isAllowed(
  { permission, value }: RuntimeCheck,
  { rights }: HostSpec,
  read: readonly string[],
): boolean {
  if (value === null) return false;
  switch (permission) {
    case "read":
      return read.some((path) => value === path || value.startsWith(path + sep));
    case "env":
      return value in grantedVariables(rights.env) || rights.env.includes(value);
    case "net":
      return rights.net.some((host) => value === host || value.startsWith(`${host}:`));
    default:
      return false;
  }
}
