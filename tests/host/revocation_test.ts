import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { canRevoke, revokePermission } from "../../host/revocation.ts";
import { ROOT } from "../suites.ts";

Deno.test("revokePermission() takes a list of paths with it, for good", async () => {
  const module = JSON.stringify(pathToFileURL(join(ROOT, "host/revocation.ts")).href);
  const code = `
    const { revokePermission } = await import(${module});
    const tell = (name) => {
      try { Deno.dlopen("/nowhere/x.so", {}); return "opened"; } catch (error) { return error.name; }
    };
    console.log(tell() === "NotCapable", revokePermission("ffi"), tell());`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-config",
      "--allow-read",
      "--allow-import",
      "--allow-ffi=/nowhere",
      `data:application/javascript,${encodeURIComponent(code)}`,
    ],
  }).output();
  assert.equal(new TextDecoder().decode(stdout), "false true NotCapable\n");
});

Deno.test("where there is no Deno nothing can be given up", () => {
  assert.equal(canRevoke(), true);
  const scope = globalThis as { Deno?: unknown };
  const { Deno: kept } = scope;
  delete scope.Deno;
  try {
    assert.equal(canRevoke(), false);
    assert.equal(revokePermission("net"), false);
  } finally {
    scope.Deno = kept;
  }
  assert.equal(Deno.permissions.querySync({ name: "net" }).state, "granted");
});
