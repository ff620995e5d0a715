// Runs a repro as whoever gets it would: its own script, in a process of its own, on onnxruntime-node
// alone. The package is the one that Deno has; nothing is installed.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What became of `run.mjs`. */
export interface ReproRun {
  /** 1 when the error is there, 0 when not, 2 when the script cannot tell. */
  readonly status: number | null;
  readonly text: string;
}

/** Why no repro can be run here; undefined when one can. */
export function noNode(): string | undefined {
  const { status } = spawnSync("node", ["--version"]);
  return status === 0 ? undefined : "node is not installed";
}

/** Runs the script of a repro's folder with node; without `installs` the package is not to be found. */
export function runRepro(
  folder: string,
  { installs = true }: { readonly installs?: boolean } = {},
): ReproRun {
  if (installs) linkPackages(folder);
  const { status, stdout, stderr } = spawnSync("node", ["--preserve-symlinks", "run.mjs"], {
    cwd: folder,
    encoding: "utf8",
  });
  return { status, text: `${stdout}${stderr}` };
}

function linkPackages(folder: string): void {
  const modules = join(folder, "node_modules");
  mkdirSync(modules, { recursive: true });
  // Importing it (never done) puts the package into the module graph, so that its place can be told.
  const _load = () => import("onnxruntime-node");
  const entry = fileURLToPath(import.meta.resolve("onnxruntime-node"));
  const place = entry.slice(0, entry.indexOf("onnxruntime-node") - 1);
  const version = /onnxruntime-node[/\\]([^/\\]+)/.exec(entry)?.[1] ?? "";
  for (const name of ["onnxruntime-node", "onnxruntime-common"]) {
    const link = join(modules, name);
    if (!existsSync(link)) symlinkSync(join(place, name, version), link);
  }
}
