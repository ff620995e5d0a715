// What README.md and ARCHITECTURE.md must hold beside their code blocks.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { skippable, untilPresent } from "../skippable.ts";
import { ROOT } from "../suites.ts";
import { listPages } from "./pages.ts";

const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const missing = (path: string) => untilPresent(path, existsSync(join(ROOT, path)));

for (const command of ["npx -y deno@2.9.6 task demo", "npx -y deno@2.9.6 task test"]) {
  Deno.test({
    ...skippable(`README.md tells to run ${command}`, missing("README.md")),
    fn: () => assert.ok(read("README.md").includes(command)),
  });
}

/** The files that a page's front matter lists as `sources: [a, b]` or one `- a` a line. */
function frontMatterSources(page: string): string[] {
  const [, matter = ""] = /^---\n([\s\S]*?)\n---\n/.exec(page) ?? [];
  const inline = /^sources:\s*\[([^\]]*)\]/m.exec(matter)?.[1]?.split(",");
  const listed = /^sources:\s*\n((?:\s*-\s*.*(?:\n|$))+)/m.exec(matter)?.[1]?.split("\n");
  return (inline ?? listed ?? []).map((item) => item.replace(/^\s*-\s*/, "").trim())
    .map((item) => item.replace(/^["']|["']$/g, "")).filter((item) => item !== "");
}

Deno.test("frontMatterSources() reads both forms of a list", () => {
  assert.deepEqual(frontMatterSources("---\nsources: [a.ts, b/]\n---\n# A"), ["a.ts", "b/"]);
  assert.deepEqual(frontMatterSources('---\nsources:\n  - a.ts\n  - "b/"\n---\n'), ["a.ts", "b/"]);
  assert.deepEqual(frontMatterSources("# A"), []);
});

Deno.test({
  ...skippable("ARCHITECTURE.md lists its sources", missing("ARCHITECTURE.md")),
  fn: () => assert.notEqual(frontMatterSources(read("ARCHITECTURE.md")).length, 0),
});

for (const { path, text } of listPages()) {
  Deno.test(`${path} names only sources and links that exist`, () => {
    const gone = frontMatterSources(text).filter((source) => !existsSync(join(ROOT, source)));
    const prose = text.replaceAll(/^(`{3,})[\s\S]*?^\1/gm, "").replaceAll(/`[^`\n]*`/g, "");
    for (const [, target = ""] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:|^#/.test(target)) continue;
      const file = join(ROOT, dirname(path), target.replace(/#.*$/, ""));
      if (!existsSync(file)) gone.push(target);
    }
    assert.deepEqual(gone, []);
  });
}
