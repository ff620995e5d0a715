// The pages whose code is run, and the kinds of blocks that may stand in them.

import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { listFiles, ROOT } from "../suites.ts";
import { type CodeBlock, findCodeBlocks } from "./code_blocks.ts";

/** What the test does with a block's language. */
export const LANGUAGES: Readonly<Record<string, "script" | "shell" | "json" | "picture">> = {
  ts: "script",
  typescript: "script",
  sh: "shell",
  bash: "shell",
  console: "shell",
  json: "json",
  mermaid: "picture",
  text: "picture",
};

/** One page of the documentation. */
export interface Page {
  /** Its path from the repo root. */
  readonly path: string;
  /** Its text. */
  readonly text: string;
  /** Its code blocks. */
  readonly blocks: readonly CodeBlock[];
}

/** README.md, ARCHITECTURE.md, docs/**\/*.md and the plugins' pages, as far as they exist. */
export function listPages(): Page[] {
  const below = ["docs", "plugins"].flatMap((folder) => listFiles(join(ROOT, folder)));
  const paths = [join(ROOT, "README.md"), join(ROOT, "ARCHITECTURE.md"), ...below];
  return paths.filter((path) => path.endsWith(".md") && existsSync(path)).map((path) => {
    const text = readFileSync(path, "utf8");
    return { path: relative(ROOT, path), text, blocks: findCodeBlocks(text) };
  });
}
