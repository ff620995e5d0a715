// Every code block of the documentation runs, and prints what the page says. A block is exempt only
// by `<!-- not run: reason -->`; the exemptions are listed at the end.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { skippable, untilPresent } from "../skippable.ts";
import { ROOT } from "../suites.ts";
import { shellSteps } from "./code_blocks.ts";
import { outputMatches } from "./output_match.ts";
import { LANGUAGES, listPages } from "./pages.ts";
import { checkStep } from "./run_command.ts";
import { makeStage, type Stage } from "./stage.ts";

/** A page must not start the test run that this test is part of. */
const STARTS_THIS_RUN = /\btask test\b|\.ci\/run/;

const CONFIG = join(ROOT, "deno.json");
const pages = listPages();
const exempt: string[] = [];
let stage: Stage | undefined;

const onStage = (): Stage => stage ??= makeStage(ROOT);
const scriptName = (path: string, line: number) =>
  `${path.replaceAll(/[^a-z0-9]+/gi, "_")}_${line}.ts`;

/** What git sees changed in the repo. */
function changes(): string {
  const { stdout } = new Deno.Command("git", { args: ["status", "--porcelain"], cwd: ROOT })
    .outputSync();
  return new TextDecoder().decode(stdout);
}
const changesBefore = changes();

async function deno(...args: string[]): Promise<{ output: string; errors: string; code: number }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: onStage().path,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ORT_DISABLE_TELEMETRY: "1" },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { output: text.decode(stdout), errors: text.decode(stderr), code };
}

async function runScript(path: string, line: number, code: string, expected?: string) {
  const script = join(onStage().path, scriptName(path, line));
  writeFileSync(script, code);
  const run = await deno("run", "-A", "--no-prompt", "--no-check", "--config", CONFIG, script);
  assert.equal(run.code, 0, `${path}:${line} ended with status ${run.code}:\n${run.errors}`);
  if (expected !== undefined && !outputMatches(run.output, expected)) {
    assert.equal(run.output, expected, `${path}:${line} printed something else`);
  }
}

const scripts: { readonly name: string; readonly code: string }[] = [];

for (const { path, blocks } of pages) {
  blocks.forEach((block, at) => {
    const { language, line, code } = block;
    const name = `${path}:${line}`;
    if (block.notRun !== undefined) {
      exempt.push(`${name}: ${block.notRun}`);
      return;
    }
    const next = blocks[at + 1];
    const output = next?.isOutput === true ? next.code : undefined;
    switch (LANGUAGES[language]) {
      case "script":
        scripts.push({ name: scriptName(path, line), code });
        Deno.test(`${name}: the script runs`, () => runScript(path, line, code, output));
        break;
      case "shell":
        for (const step of shellSteps(code)) {
          if (STARTS_THIS_RUN.test(step.command)) {
            exempt.push(`${name}: $ ${step.command} is the test run itself`);
            continue;
          }
          Deno.test(
            `${name}: $ ${step.command}`,
            () => checkStep(step, { cwd: ROOT, stage: onStage() }),
          );
        }
        break;
      case "json":
        Deno.test(`${name}: the JSON parses`, () => void JSON.parse(code));
        break;
      case "picture":
        break;
      case undefined:
        Deno.test(`${name}: the block names a language that the test knows`, () => {
          assert.fail(`\`\`\`${language} is none of ${Object.keys(LANGUAGES).join(", ")}`);
        });
    }
  });
}

Deno.test({
  ...skippable("the documentation's scripts type-check", noScripts()),
  async fn() {
    const paths = scripts.map(({ name, code }) => {
      const path = join(onStage().path, name);
      // A script without imports is a module here, as it is for `deno run`.
      writeFileSync(path, `${code}\nexport {};\n`);
      return path;
    });
    const { code, errors } = await deno("check", "--config", CONFIG, ...paths);
    assert.equal(code, 0, errors);
  },
});

function noScripts(): string | undefined {
  return scripts.length > 0 ? undefined : untilPresent("a ts block in README.md", false);
}

Deno.test("every exempt block says why", () => {
  for (const line of exempt) console.log(`not run: ${line}`);
  assert.deepEqual(exempt.filter((line) => /:\s*$/.test(line)), []);
});

Deno.test({
  ...skippable(
    "the documentation's commands leave no file behind in the repo",
    process.env["CI"] === "true"
      ? undefined
      : "somebody may be at work here; it runs where CI is true",
  ),
  fn: () => assert.equal(changes(), changesBefore),
});

Deno.test.afterAll(() => stage?.[Symbol.dispose]());
