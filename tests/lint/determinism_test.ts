// What the determinism rule sees in hooks/ and graph/, and what it leaves alone.

import assert from "node:assert/strict";
import { diagnostics, findings } from "./lint_source.ts";

const RULE = "hookline/determinism";

const BAD: readonly string[] = [
  "export const now = Date.now();",
  "export const day = new Date();",
  "export const t = performance.now();",
  "export const t = globalThis.performance.now();",
  "export const r = Math.random();",
  'export const o = "a".localeCompare("b");',
  'export const s = ["b", "a"].sort((a, b) => a.localeCompare(b));',
  "export const n = (1.5).toLocaleString();",
  "export const e = process.env.HOME;",
  'console.log("x");',
  "setTimeout(() => {}, 1);",
  "setInterval(() => {}, 1);",
  "export const f = new Intl.NumberFormat();",
  "export const i = crypto.randomUUID();",
  "export const w = Promise.race([]);",
  'import { setTimeout as wait } from "node:timers/promises"; export const w = wait;',
  'import process from "node:process"; export const p = process.argv;',
  "export const o = { console };",
];

const GOOD: readonly string[] = [
  "export const a = Math.max(1, 2);",
  "export interface Clock { readonly now: () => number; Date?: string; performance(): void }",
  "export const record = { console: 1, performance: 2 };",
  "export const value = (x: { Date: number }) => x.Date;",
  "export const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);",
  'import { AsyncLocalStorage } from "node:async_hooks"; export const s = new AsyncLocalStorage();',
  "export const all = async () => { for (const p of [1]) await p; };",
  'export const text = "Date.now() and Math.random()"; // performance.now()',
];

for (const layer of ["hooks", "graph"]) {
  for (const source of BAD) {
    Deno.test(`determinism refuses in ${layer}/: ${source}`, () => {
      assert.deepEqual([...new Set(findings(`${layer}/sample.ts`, source))], [RULE]);
    });
  }
  for (const source of GOOD) {
    Deno.test(`determinism accepts in ${layer}/: ${source}`, () => {
      assert.deepEqual(findings(`${layer}/sample.ts`, source), []);
    });
  }
}

Deno.test("determinism reports Deno.env beside deno-edges", () => {
  const found = findings("hooks/sample.ts", 'export const e = Deno.env.get("A");');
  assert.deepEqual([...found].sort(), ["hookline/deno-edges", RULE]);
});

Deno.test("determinism leaves the other folders alone", () => {
  for (const path of ["pipeline/run.ts", "cli/main.ts", "bench/main.ts", "tests/a_test.ts"]) {
    assert.deepEqual(findings(path, "export const now = Date.now();"), []);
  }
});

Deno.test("determinism says what to do instead", () => {
  const [found] = diagnostics("graph/skim.ts", "export const t = performance.now();");
  assert.equal(found?.message, "determinism: graph/skim.ts uses performance");
  assert.match(found?.hint ?? "", /take a clock as an argument$/);
});
