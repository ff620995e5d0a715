import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileFingerprint } from "../../graph/file_fingerprint.ts";

Deno.test("fileFingerprint() stays while the file stays, and changes with size, content time and identity", () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-"));
  const path = join(folder, "a");
  writeFileSync(path, "one");
  const first = fileFingerprint(path);
  assert.equal(fileFingerprint(path), first);
  writeFileSync(path, "three");
  assert.notEqual(fileFingerprint(path), first);
  copyFileSync(path, join(folder, "b"));
  const second = fileFingerprint(path);
  renameSync(join(folder, "b"), path);
  assert.notEqual(fileFingerprint(path), second, "another file of the same size under the name");
  rmSync(folder, { recursive: true });
  assert.equal(fileFingerprint(path), "absent");
});
