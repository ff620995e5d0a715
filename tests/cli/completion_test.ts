import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { SUBCOMMANDS } from "../../cli/_subcommands.ts";
import { skippable } from "../skippable.ts";
import { called, documentOf, errorOf } from "./_hookline.ts";

async function script(shell: string): Promise<string> {
  const { code, stdout } = await called(["completion", shell]);
  assert.equal(code, 0);
  return stdout;
}

/** What bash offers after these words, the last of which is being typed. */
async function completed(...words: readonly string[]): Promise<string[]> {
  const text = `${await script("bash")}
COMP_WORDS=(${["hookline", ...words].map((word) => `'${word}'`).join(" ")})
COMP_CWORD=${words.length}
_hookline
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await new Deno.Command("bash", { args: ["--norc", "-c", text] }).output();
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

const noBash = existsSync("/bin/bash") || existsSync("/usr/bin/bash")
  ? undefined
  : "there is no bash here";

Deno.test({
  ...skippable("hookline completion bash completes subcommands and options at every depth", noBash),
  async fn() {
    assert.deepEqual(await completed("ins"), ["inspect"]);
    assert.deepEqual(
      (await completed("")).sort(),
      SUBCOMMANDS.map(({ name }) => name).sort(),
    );
    assert.deepEqual(await completed("plugin", "ch"), ["check"]);
    assert.deepEqual(await completed("plugin", "check", "--si"), ["--sign"]);
    assert.deepEqual(await completed("run", "model.onnx", "--plugin-l"), ["--plugin-level"]);
  },
});

Deno.test("hookline completion has every subcommand and option in the script of each shell", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const text = await script(shell);
    for (const { name } of SUBCOMMANDS) assert.match(text, new RegExp(`\\b${name}\\b`));
    assert.match(text, /run-flags/);
    assert.match(text, shell === "fish" ? /-l plugin-options/ : /--plugin-options/);
    const document = documentOf(await called(["completion", shell, "--json"]));
    assert.deepEqual(document, { shell, script: text });
  }
});

Deno.test("hookline completion refuses other shells and suggests the nearest", async () => {
  const error = errorOf(await called(["completion", "fisch", "--json"]));
  assert.deepEqual([error["code"], error["fix"]], ["CLI_USAGE", "did you mean fish?"]);
});
