// When one permission is covered by another: the arithmetic behind grants. A permission is a few lists of
// items (modules, paths, names, levels); it is covered when each item of each list is. It resolves no path
// and asks nobody.

import type { Grant, PermissionRequest } from "./plugin_manifest.ts";

/** The name of a permission. */
export type PermissionId = Grant["id"];

/** One list of a permission's items, and when a granted item covers one that is asked for. */
interface Axis {
  readonly items: readonly string[];
  readonly covers: (granted: string, asked: string) => boolean;
}

const LEVELS: readonly string[] = ["shape", "stats", "values"];

/** The items of a granted permission that are asked for and covered, and those that are not. */
export interface Coverage {
  /** True when everything that is asked for is granted. */
  readonly isFull: boolean;
  /** What is asked for beyond the grants, in words. */
  readonly missing: readonly string[];
}

/** How much of a request the grants cover. Grants of one id are taken one by one, never added up. */
export function coverage(asked: Grant, granted: readonly Grant[]): Coverage {
  const same = granted.filter(({ id }) => id === asked.id);
  let best: readonly string[] | null = null;
  for (const grant of same) {
    const missing = missingItems(asked, grant);
    if (best === null || missing.length < best.length) best = missing;
  }
  const missing = best ?? [grantText(asked)];
  return { isFull: missing.length === 0, missing };
}

function missingItems(asked: Grant, granted: Grant): string[] {
  const grantedAxes = axesOf(granted);
  return axesOf(asked).flatMap(({ items, covers }, index) =>
    items
      .filter((item) => !(grantedAxes[index]?.items ?? []).some((one) => covers(one, item)))
      .map((item) => `${asked.id}:${item}`)
  );
}

function axesOf(permission: Grant): readonly Axis[] {
  switch (permission.id) {
    case "read-activations":
      return [{ items: [permission.level], covers: isAtLeast }, moduleAxis(permission.modules)];
    case "write-activations":
      return [
        { items: [permission.shape], covers: (one, asked) => one === "any" || one === asked },
        moduleAxis(permission.modules),
      ];
    case "replace-forward":
    case "skip-forward":
      return [moduleAxis(permission.modules)];
    case "read-inputs":
    case "read-outputs":
      return [{ items: permission.tensors, covers: isNamed }];
    case "fs-read":
    case "fs-write":
      return [{ items: permission.paths, covers: isBelow }];
    case "env":
      return [{ items: permission.names, covers: coversName }];
    case "net":
      return [{ items: permission.hosts, covers: coversHost }];
    case "manage-residency":
      return [];
  }
}

function moduleAxis(items: readonly string[]): Axis {
  // Whether one glob lies within another is not worked out: `**` holds all, others hold themselves.
  return { items, covers: (granted, asked) => granted === "**" || granted === asked };
}

function isAtLeast(granted: string, asked: string): boolean {
  return LEVELS.indexOf(granted) >= LEVELS.indexOf(asked);
}

function isNamed(granted: string, asked: string): boolean {
  return granted === "*" || granted === asked;
}

/** True when a path is the granted one or lies below it; compared as text, before any link is followed. */
export function isBelow(granted: string, asked: string): boolean {
  const folder = granted.replace(/[\\/]+$/, "");
  return asked.replace(/[\\/]+$/, "") === folder || asked.startsWith(`${folder}/`) ||
    asked.startsWith(`${folder}\\`);
}

/** True when a variable is the granted one, or begins with what stands before a final `*`. */
export function coversName(granted: string, asked: string): boolean {
  return granted === asked ||
    (granted.endsWith("*") && asked.startsWith(granted.slice(0, -1)));
}

function coversHost(granted: string, asked: string): boolean {
  return granted === asked || (!/:\d+$/.test(granted) && asked.startsWith(`${granted}:`));
}

/** A permission as text: `read-activations:stats on block.*`, `fs-write:$OUT/trace/`. */
export function grantText(permission: Grant): string {
  switch (permission.id) {
    case "read-activations":
      return `${permission.id}:${permission.level} on ${permission.modules.join(", ")}`;
    case "write-activations":
      return `${permission.id}:${permission.shape} on ${permission.modules.join(", ")}`;
    case "replace-forward":
    case "skip-forward":
      return `${permission.id} on ${permission.modules.join(", ")}`;
    case "read-inputs":
    case "read-outputs":
      return `${permission.id}:${permission.tensors.join(", ")}`;
    case "fs-read":
    case "fs-write":
      return `${permission.id}:${permission.paths.join(", ")}`;
    case "env":
      return `${permission.id}:${permission.names.join(", ")}`;
    case "net":
      return `${permission.id}:${permission.hosts.join(", ")}`;
    case "manage-residency":
      return permission.id;
  }
}

/** A request without its reason. */
export function withoutReason({ reason: _, ...grant }: PermissionRequest): Grant {
  return grant;
}
