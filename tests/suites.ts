// Which tests run together in one process, and with which grants. A process per folder, because a
// crash of native code takes its whole process with it, and because a process that loaded ONNX
// Runtime can no longer show that something works without the ffi grant.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { STRICT } from "./strict.ts";

/** The repo's root folder. */
export const ROOT: string = join(import.meta.dirname ?? "", "..");

/** One child process of tests. */
export interface Suite {
  /** What the report calls it, and what `deno task test NAME` selects. */
  readonly name: string;
  /** The arguments after `deno test`. */
  readonly args: readonly string[];
  /** The test files, each of which must show up in the report; empty for the doc tests. */
  readonly files: readonly string[];
  /** Whether it runs without any permission. */
  readonly pure: boolean;
  /** Whether it runs in the folder that holds the models of the documentation. */
  readonly staged: boolean;
}

/** Folders of tests/ that run with no permission at all. */
export const PURE: readonly string[] = ["errors", "tensor", "hooks", "graph_pure"];

/** Folders whose tests cannot pass Deno's op and resource sanitizers, with the reason. */
export const UNSANITIZED: Readonly<Record<string, string>> = {};

/** Folders of tests/ that hold no tests. */
const DATA_FOLDERS: readonly string[] = ["fixtures"];

/** What the doc tests read: every JSDoc example in these folders and files. */
const DOCUMENTED: readonly string[] = [
  "mod.ts",
  "errors",
  "tensor",
  "host",
  "graph",
  "hooks",
  "sessions",
  "formats",
  "manifest",
  "testing",
  "pipeline",
  "parity",
  "plugins",
  "cli",
];

/** Every suite of the repo, in running order. */
export function listSuites(root: string = ROOT): Suite[] {
  const tests = join(root, "tests");
  const folders = readdirSync(tests, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !DATA_FOLDERS.includes(entry.name))
    .map((entry) => entry.name)
    .sort();
  const suites = [
    suite("runner", testFiles(tests, "tests", false)),
    ...folders.map((name) => suite(name, testFiles(join(tests, name), `tests/${name}`, true))),
  ].filter(({ files }) => files.length > 0);
  suites.sort((a, b) => Number(b.pure) - Number(a.pure));
  return existsSync(join(root, "mod.ts")) || STRICT ? [...suites, docSuite(root)] : suites;
}

function suite(name: string, files: readonly string[]): Suite {
  const pure = PURE.includes(name);
  const sanitizers = name in UNSANITIZED ? [] : ["--sanitize-ops", "--sanitize-resources"];
  const grants = pure ? ["--no-prompt"] : ["-A"];
  return { name, args: [...grants, "--no-check", ...sanitizers], files, pure, staged: false };
}

/** The examples in doc comments: type-checked, and run beside the documentation's models. */
function docSuite(root: string): Suite {
  const documented = DOCUMENTED.map((path) => join(root, path)).filter((path) => existsSync(path));
  const pages = listFiles(join(root, "plugins")).filter((path) => path.endsWith(".md"));
  const ignored = pages.length === 0 ? [] : [`--ignore=${pages.join(",")}`];
  const config = join(root, "deno.json");
  return {
    name: "doc_comments",
    args: ["-A", "--doc", "--permit-no-files", "--config", config, ...ignored, ...documented],
    files: [],
    pure: false,
    staged: true,
  };
}

function testFiles(folder: string, prefix: string, deep: boolean): string[] {
  return listFiles(folder, deep)
    .map((path) => prefix + path.slice(folder.length))
    .filter((path) => path.endsWith("_test.ts"));
}

/** Every file below a folder in code-unit order; none where the folder is missing. */
export function listFiles(folder: string, deep = true): string[] {
  if (!existsSync(folder)) return [];
  const found: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isFile()) found.push(path);
    else if (deep && entry.isDirectory()) found.push(...listFiles(path));
  }
  return found.sort();
}
