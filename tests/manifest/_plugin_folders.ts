// Plugin folders in a temporary place: a manifest that is right, changed field by field, and its code.

import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Audit, AuditEntry } from "../../manifest/audit.ts";

/** Fields of a manifest as JSON. */
export type ManifestFields = Readonly<Record<string, unknown>>;

/** A manifest that is right, of an observer that reads values. */
export function manifestFields(changes: ManifestFields = {}): Record<string, unknown> {
  return {
    manifestVersion: 1,
    name: "watcher",
    version: "1.0.0",
    apiVersion: "^0.1.0",
    description: "Looks at outputs",
    license: "MIT",
    main: "./mod.ts",
    kind: "observer",
    hooks: ["observe:final"],
    match: { modules: ["**"] },
    permissions: [
      { id: "read-activations", level: "values", modules: ["**"], reason: "looks at them" },
    ],
    numerics: "transparent",
    ...changes,
  };
}

/** A manifest of a transformer that may write everywhere. */
export function transformerFields(changes: ManifestFields = {}): Record<string, unknown> {
  return manifestFields({
    name: "doubler",
    kind: "transformer",
    hooks: ["post"],
    permissions: [
      { id: "read-activations", level: "values", modules: ["**"], reason: "reads what it doubles" },
      { id: "write-activations", modules: ["**"], reason: "doubles" },
    ],
    numerics: "changes",
    ...changes,
  });
}

/** Code of a plugin whose hooks count their calls in the log. */
export const WATCHER_CODE = `export default {
  createHook: (module, host) => ({
    postForward(call, outputs) {
      host.log(module.path + " " + Object.keys(outputs).join());
    },
  }),
};
`;

/** A temporary folder that is gone afterwards. */
export async function withFolder<T>(use: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = realpathSync(await Deno.makeTempDir({ prefix: "hookline_plugin_" }));
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes a plugin: its manifest, `mod.ts`, and further files. */
export async function writePlugin(
  folder: string,
  { manifest = manifestFields(), code = WATCHER_CODE, files = {} }: {
    readonly manifest?: ManifestFields;
    readonly code?: string;
    readonly files?: Readonly<Record<string, string>>;
  } = {},
): Promise<string> {
  const all = { "plugin.json": JSON.stringify(manifest, null, 2), "mod.ts": code, ...files };
  for (const [name, text] of Object.entries(all)) {
    const path = join(folder, name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
  return folder;
}

/** An audit that keeps what it gets. */
export function keptAudit(): { readonly audit: Audit; readonly entries: AuditEntry[] } {
  const entries: AuditEntry[] = [];
  return { audit: (entry) => void entries.push(entry), entries };
}
