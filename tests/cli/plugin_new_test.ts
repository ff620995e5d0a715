import assert from "node:assert/strict";
import { join } from "node:path";
import { withFolder } from "../manifest/_plugin_folders.ts";
import { ROOT } from "../suites.ts";
import { called, errorOf } from "./_hookline.ts";
import { pluginCall } from "./_plugin_calls.ts";

async function deno(cwd: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  const output = text.decode(stdout) + text.decode(stderr);
  assert.equal(code, 0, `deno ${args.join(" ")}:\n${output}`);
  return output;
}

for (const kind of ["observer", "transformer"]) {
  Deno.test(`hookline plugin new makes ${kind === "observer" ? "an" : "a"} ${kind} that is ready to publish`, async () => {
    await withFolder(async (folder) => {
      const place = join(folder, "my-plugin");
      const { document } = await pluginCall(
        "new",
        "@my-scope/my-plugin",
        "--kind",
        kind,
        "--folder",
        place,
      );
      assert.equal(document["package"], "@my-scope/my-plugin");
      assert.equal(document["folder"], place);
      const check = await pluginCall("check", place, "--level", "inline");
      assert.equal(check.document["status"], "good", JSON.stringify(check.document));
      await deno(place, "fmt", "--check");
      await deno(place, "lint");
      await deno(place, "check", ".");
      // Its own tests need no more than to read.
      const tests = await deno(place, "test", "--no-prompt", "--allow-read");
      assert.match(tests, /7 passed \| 0 failed/);
      assert.match(await deno(place, "publish", "--dry-run", "--allow-dirty"), /Dry run complete/);
    });
  });
}

Deno.test({
  name: "hookline plugin new says that it may not look at a folder",
  permissions: { read: [ROOT], env: true },
  async fn() {
    const outcome = await called(["plugin", "new", "name", "--folder", "/nowhere/name", "--json"]);
    assert.equal(errorOf(outcome)["code"], "FILE_WRITE");
  },
});

Deno.test("hookline plugin new refuses bad names and folders that hold something", async () => {
  for (const name of ["Bad", "a", "-x", "@s/name", "a/b", "../up"]) {
    assert.equal(errorOf(await called(["plugin", "new", name, "--json"]))["code"], "CLI_USAGE");
  }
  await withFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "file"), "mine");
    for (const place of [folder, join(folder, "file")]) {
      const outcome = await called(["plugin", "new", "name", "--folder", place, "--json"]);
      assert.equal(errorOf(outcome)["code"], "FILE_WRITE");
    }
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["file"]);
  });
});
