// Which modules a source imports for their values, found by looking at its text: enough to warn an author,
// not a wall. Types are left out, because they are gone when the code runs. Imports whose specifier is
// computed are not seen; in a worker or process Deno itself refuses what lies outside.

import { readFileSync } from "node:fs";
import { join, normalize } from "node:path/posix";

/** A value import that a plugin should not have. */
export interface ImportFault {
  /** The importing file, relative to the plugin: `./mod.ts`. */
  readonly file: string;
  /** What it imports. */
  readonly specifier: string;
  /** `outside` the plugin's folder, `unsigned` where its hash covers nothing, or a `package`. */
  readonly kind: "outside" | "unsigned" | "package";
}

const CODE = /\.[cm]?[jt]sx?$/;
const STATEMENT =
  /(?:^|[;\n}])\s*(?:import|export)\s+(?!type\s)(?:[\w*$\s{},]*?\sfrom\s*)?["']([^"'\n]+)["']/g;
const CALL = /\bimport\s*\(\s*["'`]([^"'`$\n]+)["'`]/g;
const BRACES = /^\s*(?:import|export)\s*\{([^}]*)\}/;

/** The specifiers of a source's value imports, in the order in which they stand. */
export function valueImports(source: string): string[] {
  const text = source
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/^\s*\/\/.*$/gm, "");
  const found: string[] = [];
  for (const match of text.matchAll(STATEMENT)) {
    const names = BRACES.exec(match[0].replace(/^[;\n}]/, ""))?.[1]?.split(",") ?? [];
    const given = names.map((name) => name.trim()).filter((name) => name !== "");
    const onlyTypes = given.length > 0 && given.every((name) => name.startsWith("type "));
    if (!onlyTypes && match[1] !== undefined) found.push(match[1]);
  }
  for (const match of text.matchAll(CALL)) if (match[1] !== undefined) found.push(match[1]);
  return found;
}

/**
 * Imports of a plugin's files that leave what its hashes cover. `files` are the hashed paths, as
 * `hashFiles` gives them.
 */
export function importFaults(root: string, files: readonly string[]): ImportFault[] {
  const faults: ImportFault[] = [];
  for (const file of files.filter((path) => CODE.test(path))) {
    for (const specifier of valueImports(readFileSync(join(root, file), "utf8"))) {
      if (!specifier.startsWith(".")) {
        if (!specifier.startsWith("node:")) faults.push({ file, specifier, kind: "package" });
        continue;
      }
      const target = normalize(join(file, "..", specifier));
      const kind = target.startsWith("../")
        ? "outside"
        : files.includes(`./${target}`)
        ? null
        : "unsigned";
      if (kind !== null) faults.push({ file, specifier, kind });
    }
  }
  return faults;
}
