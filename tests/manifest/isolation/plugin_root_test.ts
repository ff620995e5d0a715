import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { HostSpec } from "../../../manifest/isolation/host_spec.ts";
import { readablePaths } from "../../../manifest/isolation/plugin_root.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { specOf } from "./_hosting.ts";

async function withPlugin(use: (root: string, spec: HostSpec) => Promise<void>): Promise<void> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "hookline-root-")));
  const root = join(folder, "plugin");
  mkdirSync(join(root, "deep"), { recursive: true });
  writeFileSync(join(root, "mod.ts"), "export default {};");
  writeFileSync(join(folder, "outside.txt"), "outside");
  try {
    await use(root, specOf("", { root, mainUrl: pathToFileURL(join(root, "mod.ts")).href }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

Deno.test("readablePaths() are the plugin's folder and what it was granted", () =>
  withPlugin((root, spec) => {
    const rights = { ...spec.rights, fsRead: [join(root, "..", "outside.txt")] };
    assert.deepEqual(readablePaths({ ...spec, rights }), [root, join(root, "..", "outside.txt")]);
    return Promise.resolve();
  }));

Deno.test("readablePaths() refuses links in the folder, in what was granted, and as the folder", () =>
  withPlugin(async (root, spec) => {
    const link = join(root, "deep", "link.txt");
    symlinkSync(join(root, "..", "outside.txt"), link);
    const error = await expectCode("PLUGIN_ISOLATION", () => readablePaths(spec));
    assert.match(error.message, /link\.txt" is a symbolic link/);
    rmSync(link);
    readablePaths(spec);

    const other = join(root, "..", "other");
    symlinkSync(root, other);
    const rights = { ...spec.rights, fsRead: [other] };
    await expectCode("PLUGIN_ISOLATION", () => readablePaths({ ...spec, rights }));
    const mainUrl = pathToFileURL(join(other, "mod.ts")).href;
    await expectCode("PLUGIN_ISOLATION", () => readablePaths({ ...spec, root: other, mainUrl }));
  }));

Deno.test("readablePaths() refuses a main module outside of the folder, and a folder that is not there", () =>
  withPlugin(async (root, spec) => {
    for (
      const mainUrl of ["https://example.com/mod.ts", "file:///mod.ts", `${pathToFileURL(root)}x`]
    ) {
      await expectCode("PLUGIN_ISOLATION", () => readablePaths({ ...spec, mainUrl }));
    }
    const rights = { ...spec.rights, fsRead: [join(root, "nowhere")] };
    await expectCode("PLUGIN_ISOLATION", () => readablePaths({ ...spec, rights }));
  }));
