// From a manifest, the grants and the process to the rights that hold: their intersection. Deny wins, a
// request beyond the grants disables the plugin, and what the process itself lacks is left out and said.
// Invariant: the result never holds more than any of the three.

import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { HooklineError } from "../errors/hookline_error.ts";
import type { EffectiveRights, RightSource } from "./effective_rights.ts";
import type { Grants, PluginGrant } from "./grants.ts";
import { coverage, grantText, withoutReason } from "./permission_scope.ts";
import type { Grant } from "./plugin_manifest.ts";
import type { PluginFolder } from "./read_manifest.ts";

/**
 * What `$OUT` stands for when the application says nothing: never the working directory, where the
 * application's own code and its file of grants lie.
 */
export const OUTPUT_FOLDER = "hookline_output";

/** A question to the process: may it do this itself? */
export type ProcessQuestion =
  | { readonly name: "read" | "write"; readonly path: string }
  | { readonly name: "env"; readonly variable: string }
  | { readonly name: "net"; readonly host: string };

/** What rights are resolved from, beside the manifest. */
export interface RightsContext {
  /** What the application granted. */
  readonly grants: Grants;
  /** The folder that `$OUT` stands for; {@linkcode OUTPUT_FOLDER} by default. */
  readonly outputFolder?: string;
  /** Whether the process has a permission; asks Deno by default, and is true elsewhere. */
  readonly mayProcess?: (question: ProcessQuestion) => boolean;
}

/** The part of Deno that is asked; absent in Node. */
interface PermissionHost {
  readonly permissions?: {
    querySync(question: ProcessQuestion): { readonly state: string };
  };
}

/** Whether this process has a permission. Nobody is asked for it. */
export function mayProcess(question: ProcessQuestion): boolean {
  const host = (globalThis as { readonly Deno?: PermissionHost }).Deno;
  if (host?.permissions === undefined) return true;
  try {
    return host.permissions.querySync(question).state === "granted";
  } catch {
    return false;
  }
}

/**
 * The rights of a plugin.
 *
 * @throws {HooklineError} HOOK_PERMISSION_DENIED when nothing was ever granted to a plugin that asks for
 * something, HOOK_PERMISSION_WIDENED when it asks for more than was granted: the plugin is then disabled
 * as a whole, because half of its rights would make it do something that nobody tried.
 */
export function resolveRights(folder: PluginFolder, context: RightsContext): EffectiveRights {
  const { manifest } = folder;
  const entry = Object.hasOwn(context.grants.plugins, manifest.name)
    ? context.grants.plugins[manifest.name]
    : undefined;
  const asked = manifest.permissions.map(withoutReason);
  const wanted = entry === undefined ? asked : asked.filter(({ id }) => !entry.denied.includes(id));
  if (entry === undefined && asked.length > 0) throw ungranted(folder, asked);
  const beyond = wanted.flatMap((grant) => coverage(grant, entry?.granted ?? []).missing);
  if (beyond.length > 0 && entry !== undefined) throw widened(folder, beyond, entry);
  // What is optional is held when it was granted in full, and left out otherwise.
  const optional = manifest.optionalPermissions.map(withoutReason)
    .filter(({ id }) => entry !== undefined && !entry.denied.includes(id))
    .filter((grant) => coverage(grant, entry?.granted ?? []).isFull);
  return rightsOf(folder, { held: [...wanted, ...optional], entry, context });
}

function rightsOf(
  { manifest, root }: PluginFolder,
  { held, entry, context }: {
    readonly held: readonly Grant[];
    readonly entry: PluginGrant | undefined;
    readonly context: RightsContext;
  },
): EffectiveRights {
  const may = context.mayProcess ?? mayProcess;
  const expand = (path: string): string =>
    expandPath(path, root, context.outputFolder ?? OUTPUT_FOLDER);
  const because: RightSource[] = [];
  const find = <Id extends Grant["id"]>(id: Id): Extract<Grant, { readonly id: Id }> | undefined =>
    held.find((grant): grant is Extract<Grant, { readonly id: Id }> => grant.id === id);
  const read = find("read-activations");
  const write = find("write-activations");
  const scoped = <Item>(
    items: readonly Item[],
    question: (item: Item) => ProcessQuestion,
  ): Item[] => items.filter((item) => may(question(item)));
  const rights = {
    plugin: manifest.name,
    readActivations: read?.level ?? "none" as const,
    modules: modulesOf(held),
    writeActivations: write !== undefined,
    changesShape: write?.shape === "any",
    replaceForward: held.some(({ id }) => id === "replace-forward"),
    skipForward: held.some(({ id }) => id === "skip-forward"),
    readInputs: tensorsOf(held, "read-inputs"),
    readOutputs: tensorsOf(held, "read-outputs"),
    manageResidency: find("manage-residency") !== undefined,
    fsRead: scoped(
      pathsOf(held, "fs-read").map(expand).sort(),
      (path) => ({ name: "read", path }),
    ),
    fsWrite: scoped(
      pathsOf(held, "fs-write").map(expand).sort(),
      (path) => ({ name: "write", path }),
    ),
    env: scoped(find("env")?.names ?? [], (variable) => ({ name: "env", variable })),
    net: scoped(find("net")?.hosts ?? [], (host) => ({ name: "net", host })),
  };
  const counts: Readonly<Record<string, readonly [number, number]>> = {
    "fs-read": [pathsOf(held, "fs-read").length, rights.fsRead.length],
    "fs-write": [pathsOf(held, "fs-write").length, rights.fsWrite.length],
    env: [find("env")?.names.length ?? 0, rights.env.length],
    net: [find("net")?.hosts.length ?? 0, rights.net.length],
  };
  for (const grant of held) {
    const [asked, got] = counts[grant.id] ?? [0, 0];
    because.push({
      permission: grantText(grant),
      grantedBy: entry === undefined ? "nobody" : `${entry.grantedBy}, ${entry.grantedAt}`,
      ...(got < asked
        ? { limitedBy: `the process itself has ${got} of ${asked} of these permissions` }
        : {}),
    });
  }
  for (const id of entry?.denied ?? []) {
    because.push({
      permission: id,
      grantedBy: "nobody",
      limitedBy: `denied by ${entry?.grantedBy}`,
    });
  }
  return freeze({ ...rights, because });
}

/** Every glob that some right extends to; a plugin without any such right sees no tensors. */
function modulesOf(held: readonly Grant[]): string[] {
  const globs = held.flatMap((grant) => "modules" in grant ? grant.modules : []);
  return [...new Set(globs)].sort();
}

function tensorsOf(held: readonly Grant[], id: "read-inputs" | "read-outputs"): string[] {
  return held.flatMap((grant) => grant.id === id && "tensors" in grant ? grant.tensors : []);
}

function pathsOf(held: readonly Grant[], id: "fs-read" | "fs-write"): string[] {
  return held.flatMap((grant) => grant.id === id && "paths" in grant ? grant.paths : []);
}

/** A path of a manifest as an absolute real path; the part that does not exist yet stays as it is. */
function expandPath(path: string, root: string, outputFolder: string): string {
  const expanded = path
    .replace(/^\$OUT(?=[\\/]|$)/, () => outputFolder)
    .replace(/^\$PLUGIN(?=[\\/]|$)/, () => root);
  return realPathOf(resolve(expanded));
}

/** The real path of what exists, with what does not exist yet behind it. */
export function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(realPathOf(above), basename(path));
  }
}

function freeze(rights: EffectiveRights): EffectiveRights {
  for (const value of Object.values(rights)) if (typeof value === "object") Object.freeze(value);
  return Object.freeze(rights);
}

function ungranted({ root, manifest }: PluginFolder, asked: readonly Grant[]): HooklineError {
  return new HooklineError("HOOK_PERMISSION_DENIED", {
    message: `cannot load ${manifest.name} ${manifest.version}: it asks for ${
      asked.map(grantText).join("; ")
    }, and nothing was granted to it`,
    fix: `read the reasons with \`hookline plugin check ${root}\`, then run ` +
      `\`hookline plugin grant ${root}\``,
    details: { plugin: manifest.name, asked: asked.map(grantText), granted: [] },
  });
}

function widened(
  { root, manifest }: PluginFolder,
  beyond: readonly string[],
  entry: PluginGrant,
): HooklineError {
  return new HooklineError("HOOK_PERMISSION_WIDENED", {
    message: `cannot load ${manifest.name} ${manifest.version}: it asks for ${
      beyond.join(", ")
    }, which ${entry.version} was not granted; the plugin is disabled`,
    fix: `run \`hookline plugin grant ${root}\` to accept, or with \`--deny\` to go on without, ` +
      `or install ${manifest.name}@${entry.version}`,
    details: {
      plugin: manifest.name,
      version: manifest.version,
      grantedVersion: entry.version,
      beyond: [...beyond],
    },
  });
}
