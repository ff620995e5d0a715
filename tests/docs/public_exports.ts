// The names that the package exports, read from the sources by `deno doc`, types included.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../suites.ts";

/** Where the agreed list is kept. */
export const EXPORT_LIST: string = join(ROOT, "tests/docs/public_exports.json");

/** Entry point to how many names it exports and which. */
export type ExportList = Record<string, { readonly count: number; readonly names: string[] }>;

/** The entry points of deno.json whose file exists: sub-path to file. */
export function entryPoints(): Record<string, string> {
  const { exports } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const files = Object.entries(exports as Record<string, string>)
    .map(([subPath, file]) => [subPath, join(ROOT, file)] as const);
  return Object.fromEntries(files.filter(([, file]) => existsSync(file)));
}

/** What every entry point exports now. */
export async function currentExports(): Promise<ExportList> {
  const list: ExportList = {};
  for (const [subPath, file] of Object.entries(entryPoints())) {
    const names = await exportedNames(file);
    list[subPath] = { count: names.length, names };
  }
  return list;
}

async function exportedNames(file: string): Promise<string[]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", file],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`deno doc ${file}: ${text.decode(stderr)}`);
  const { nodes } = JSON.parse(text.decode(stdout)) as {
    nodes: Record<string, { symbols?: { name: string }[] }>;
  };
  const names = Object.values(nodes).flatMap(({ symbols = [] }) => symbols.map(({ name }) => name));
  return [...new Set(names)].sort();
}
