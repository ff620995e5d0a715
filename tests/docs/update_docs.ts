// Writes what is made from the sources anew: docs/errors.md and the list of exported names.
// Usage: deno task docs:update

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../suites.ts";
import { renderErrorPage } from "./error_page.ts";
import { currentExports, EXPORT_LIST } from "./public_exports.ts";

const page = join(ROOT, "docs/errors.md");
mkdirSync(dirname(page), { recursive: true });
writeFileSync(page, renderErrorPage(existsSync(page) ? readFileSync(page, "utf8") : undefined));
console.log("wrote docs/errors.md");

const exported = await currentExports();
if (Object.keys(exported).length > 0) {
  writeFileSync(EXPORT_LIST, JSON.stringify(exported, null, 2) + "\n");
  for (const [subPath, { count }] of Object.entries(exported)) {
    console.log(`wrote ${count} names of ${subPath}`);
  }
}
