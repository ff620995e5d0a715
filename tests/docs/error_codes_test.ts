// Every error code is documented, thrown somewhere and tested somewhere.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { ERROR_CODES } from "../../errors/codes.ts";
import { skippable, untilPresent } from "../skippable.ts";
import { STRICT } from "../strict.ts";
import { listFiles, ROOT } from "../suites.ts";
import { renderErrorPage } from "./error_page.ts";
import { SOURCE_FOLDERS } from "./mirror_exceptions.ts";

const PAGE = join(ROOT, "docs/errors.md");

/** The codes that no file of `folders` names as a string. */
function absentFrom(folders: readonly string[], skip: readonly string[]): string[] {
  const text = folders.flatMap((folder) => listFiles(join(ROOT, folder)))
    .filter((path) => path.endsWith(".ts") && !skip.includes(relative(ROOT, path)))
    .map((path) => readFileSync(path, "utf8")).join("\n");
  return Object.keys(ERROR_CODES).filter((code) => !new RegExp(`\\b${code}\\b`).test(text));
}

function untilNone(codes: readonly string[], what: string): string | undefined {
  if (codes.length === 0 || STRICT) return undefined;
  return `${codes.length} codes are not ${what} yet, STRICT is off: ${codes.join(" ")}`;
}

Deno.test({
  ...skippable("docs/errors.md is up to date", untilPresent("docs/errors.md", existsSync(PAGE))),
  fn() {
    const page = readFileSync(PAGE, "utf8");
    assert.equal(page, renderErrorPage(page), "run: deno task docs:update");
  },
});

Deno.test("renderErrorPage() lists every code once and keeps what stands around the list", () => {
  const page = renderErrorPage();
  for (const code of Object.keys(ERROR_CODES)) assert.equal(page.split(`\`${code}\``).length, 2);
  const edited = page.replace("# Errors", "# My errors") + "\nBy hand.\n";
  assert.equal(renderErrorPage(edited), edited);
});

const unthrown = absentFrom(SOURCE_FOLDERS, ["errors/codes.ts"]);
Deno.test({
  ...skippable("every error code is thrown somewhere", untilNone(unthrown, "thrown")),
  fn: () => assert.deepEqual(unthrown, []),
});

const untested = absentFrom(["tests"], ["tests/docs/error_codes_test.ts"]);
Deno.test({
  ...skippable("every error code occurs in a test", untilNone(untested, "tested")),
  fn: () => assert.deepEqual(untested, []),
});
