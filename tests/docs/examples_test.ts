// Each example's first comment holds the command that runs it and what that prints; both are true.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { skippable, untilPresent } from "../skippable.ts";
import { listFiles, ROOT } from "../suites.ts";
import { shellSteps } from "./code_blocks.ts";
import { checkStep } from "./run_command.ts";
import { makeStage } from "./stage.ts";

/** The longest an example may be, its first comment not counted. */
const MAX_LINES = 60;

const examples = listFiles(join(ROOT, "examples"), false).filter((path) => path.endsWith(".ts"));

/** The first comment without its markers, from the first `$ command` on. */
function header(source: string): { readonly text: string; readonly lines: number } {
  const lines = source.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("//"));
  const comment = lines.slice(0, end).map((line) => line.replace(/^\/\/ ?/, ""));
  const start = comment.findIndex((line) => line.startsWith("$ "));
  return { text: start === -1 ? "" : comment.slice(start).join("\n"), lines: end };
}

Deno.test({
  ...skippable("there are examples", untilPresent("examples/01_*.ts", examples.length > 0)),
  fn: () => assert.notEqual(examples.length, 0),
});

Deno.test("examples are numbered from 01 without a gap", () => {
  examples.forEach((path, at) => {
    assert.match(
      basename(path),
      new RegExp(`^${String(at + 1).padStart(2, "0")}_[a-z0-9_]+\\.ts$`),
    );
  });
});

for (const path of examples) {
  const name = `examples/${basename(path)}`;
  const source = readFileSync(path, "utf8");
  const { text, lines } = header(source);

  Deno.test(`${name} is short and tells its command and output first`, () => {
    const steps = shellSteps(text);
    assert.ok(steps.length > 0, `${name} needs a first comment with "// $ deno run … ${name}"`);
    assert.ok(steps.some(({ command }) => command.includes(name)), `no command runs ${name}`);
    assert.ok(steps.some(({ expected }) => expected !== undefined), "no expected output");
    const length = source.trimEnd().split("\n").length - lines;
    assert.ok(length <= MAX_LINES, `${length} lines, the limit is ${MAX_LINES}`);
  });

  Deno.test(`${name} prints what it says`, async () => {
    using stage = makeStage(ROOT);
    for (const step of shellSteps(text)) await checkStep(step, { cwd: ROOT, stage });
  });
}
