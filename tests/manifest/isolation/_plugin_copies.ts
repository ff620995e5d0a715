// Copies of the plugins in tests/fixtures in a temporary place, with their manifests changed and everything
// granted that they ask for: what an operator would have who trusts them with that and no more.

import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { grantRequested, type Grants } from "../../../manifest/grants.ts";
import { openManifest } from "../../../manifest/read_manifest.ts";
import { fixturePath } from "../../support/fixture_path.ts";

/** A plugin's folder that is gone afterwards. */
export interface PluginCopy extends Disposable {
  /** Real path of the folder. */
  readonly path: string;
  /** Grants for all that it asks for. */
  readonly grants: Grants;
}

/** A copy of the evil plugin; `budgets` are added to its manifest's own. */
export function evilFolder(budgets: Readonly<Record<string, number>> = {}): PluginCopy {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "hookline-evil-plugin-")));
  const manifest = JSON.parse(
    readFileSync(fixturePath("evil_plugin", "plugin.json"), "utf8"),
  );
  delete manifest.$schema;
  manifest.budgets = { ...manifest.budgets, ...budgets };
  writeFileSync(join(path, "plugin.json"), JSON.stringify(manifest));
  copyFileSync(fixturePath("evil_plugin", "mod.ts"), join(path, "mod.ts"));
  return {
    path,
    grants: grantRequested(openManifest(path)),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}
