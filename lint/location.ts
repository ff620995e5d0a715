// Where a linted file stands in the repo, and where an import of it leads. Knows paths only: which
// paths may meet is said in layering.ts. Pure string work, so that a rule needs no permission.

/** The package's own name, by which examples and plugins' readers import it. */
const PACKAGE = "@hookline/hookline";

/** Folders whose files may be unreachable from the published package. */
export type Layer = string;

/** The repo's root as a path with a trailing slash. */
const ROOT = decodeURIComponent(new URL("../", import.meta.url).pathname);

/** The path of a linted file from the repo root, `/` separated. */
export function repoPath(filename: string): string {
  const path = filename.replace(/^file:\/\//, "").replaceAll("\\", "/");
  return path.startsWith(ROOT) ? path.slice(ROOT.length) : path.replace(/^\.?\//, "");
}

/** The layer a repo path belongs to: its first folder, or `mod` for the entry point. */
export function layerOf(path: string): Layer {
  const slash = path.indexOf("/");
  if (slash !== -1) return path.slice(0, slash);
  return path === "mod.ts" ? "mod" : path;
}

/** The plugin folder of a path such as `plugins/trace/mod.ts`, or undefined outside of one. */
export function pluginOf(path: string): string | undefined {
  return /^plugins\/([^/]+)(?:\/|$)/.exec(path)?.[1];
}

/**
 * The repo path that an import specifier leads to, or undefined when it leaves the repo (npm and
 * node modules). The package's own name leads to `mod.ts`, its sub-paths to their folder.
 */
export function resolveImport(from: string, specifier: string): string | undefined {
  if (specifier === PACKAGE) return "mod.ts";
  if (specifier.startsWith(PACKAGE + "/")) return specifier.slice(PACKAGE.length + 1) + "/mod.ts";
  if (!specifier.startsWith(".")) return undefined;
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
