// Where temporary files belong.

import assert from "node:assert/strict";
import { temporaryFolder } from "../../host/temporary_folder.ts";

Deno.test("temporaryFolder() is what TMPDIR says, without a separator at its end", () => {
  const before = Deno.env.get("TMPDIR");
  try {
    Deno.env.set("TMPDIR", "/somewhere/else//");
    assert.equal(temporaryFolder(), "/somewhere/else");
    Deno.env.set("TMPDIR", "/");
    assert.equal(temporaryFolder(), "/");
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
  }
});

Deno.test("temporaryFolder() needs no permission", () => {
  const adapter = new URL("../../host/temporary_folder.ts", import.meta.url).href;
  const worker = `import { temporaryFolder } from ${JSON.stringify(adapter)};
    console.log(temporaryFolder());`;
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/ask.ts`, worker);
    const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", `${folder}/ask.ts`],
      env: { TMPDIR: "/not/readable", NO_COLOR: "1" },
    }).outputSync();
    const text = new TextDecoder();
    assert.equal(code, 0, text.decode(stderr));
    assert.notEqual(text.decode(stdout).trim(), "/not/readable");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
