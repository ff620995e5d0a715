// Test files mirror sources: tests/graph/skim_test.ts tests graph/skim.ts (tests/graph_pure/ counts
// as tests/graph/), and a plugin has tests in tests/plugins/NAME_test.ts or tests/plugins/NAME/.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { skippable } from "../skippable.ts";
import { STRICT } from "../strict.ts";
import { listFiles, ROOT } from "../suites.ts";
import {
  SOURCE_FOLDERS,
  UNMIRRORED_FOLDERS,
  UNMIRRORED_TESTS,
  UNTESTED_SOURCES,
} from "./mirror_exceptions.ts";

const below = (folder: string) =>
  listFiles(join(ROOT, folder)).map((path) => relative(ROOT, path).replaceAll("\\", "/"));

const sources = SOURCE_FOLDERS.flatMap(below)
  .filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"));
const tests = below("tests").filter((path) => path.endsWith("_test.ts"))
  .filter((path) => path.split("/").length > 2)
  .filter((path) => !UNMIRRORED_FOLDERS.includes(path.split("/")[1] ?? ""));

/** What a source or a test is about: `graph/skim`, or `plugins/NAME` for all files of a plugin. */
function subject(path: string): string {
  const plain = path.replace(/^tests\//, "").replace(/_pure\//, "/").replace(/(_test)?\.ts$/, "");
  const plugin = /^plugins\/([^/]+)/.exec(plain)?.[1]?.replaceAll("-", "_");
  return plugin === undefined ? plain : `plugins/${plugin}`;
}

const tested = new Set(tests.map(subject));
const existing = new Set(sources.map(subject));
const untested = sources.filter((path) =>
  !/(^|\/)_[^/]*$/.test(path) && !tested.has(subject(path)) && !(path in UNTESTED_SOURCES)
);
const unmirrored = tests.filter((path) => !existing.has(subject(path)))
  .filter((path) => !(path in UNMIRRORED_TESTS));

function untilNone(paths: readonly string[]): string | undefined {
  if (paths.length === 0 || STRICT) return undefined;
  return `STRICT is off, ${paths.length} to do: ${paths.join(" ")}`;
}

Deno.test({
  ...skippable("every source has its test file", untilNone(untested)),
  fn: () => assert.deepEqual(untested, []),
});

Deno.test({
  ...skippable("every test file has its source", untilNone(unmirrored)),
  fn: () => assert.deepEqual(unmirrored, []),
});

Deno.test("the exceptions from mirroring name files that exist and give reasons", () => {
  for (const [path, reason] of Object.entries({ ...UNTESTED_SOURCES, ...UNMIRRORED_TESTS })) {
    assert.ok(existsSync(join(ROOT, path)), `${path} does not exist`);
    assert.notEqual(reason.trim(), "", path);
  }
});
