import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ModelFolder } from "../../bench/bench.ts";
import { BENCHES, runBenches } from "../../bench/main.ts";
import { openSessions } from "../../mod.ts";

const MAIN = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

async function callMain(args: readonly string[]): Promise<{ code: number; stdout: string }> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    stderr: "null",
  }).output();
  return { code: output.code, stdout: new TextDecoder().decode(output.stdout) };
}

Deno.test("every benchmark in one process measures and leaves nothing open", async () => {
  // `inspect` writes 2 GB and has no place in a test.
  const benches = BENCHES.filter((bench) => bench.name !== "inspect");
  const rows = await runBenches(benches, { threads: 2, rounds: () => 1, log: () => {} });
  const names = rows.map((row) => row.name);
  assert.equal(new Set(names).size, names.length);
  for (const bench of benches) assert.ok(names.some((name) => name.startsWith(`${bench.name}.`)));
  for (const row of rows) {
    assert.ok(
      [row.ratio, row.upper, row.value, row.peer, row.spread].every(Number.isFinite),
      row.name,
    );
    assert.ok(row.peer > 0, row.name);
  }
  assert.deepEqual(openSessions(), []);
});

Deno.test("ModelFolder writes a model once and removes everything", () => {
  const models = new ModelFolder();
  const { path } = models.transformer();
  assert.equal(models.transformer().path, path);
  assert.ok(existsSync(path));
  models[Symbol.dispose]();
  assert.ok(!existsSync(models.path));
});

Deno.test("main prints one JSON document with --json", async () => {
  const { code, stdout } = await callMain(["--json", "--only", "dispatch", "--rounds", "1"]);
  assert.equal(code, 0);
  const rows = JSON.parse(stdout) as { name: string }[];
  assert.deepEqual(rows.map((row) => row.name), ["dispatch.observe", "dispatch.edit"]);
});

for (const args of [["--only", "nothing"], ["--rounds", "0"], ["--wrong"]]) {
  Deno.test(`main refuses ${args.join(" ")}`, async () => {
    const { code, stdout } = await callMain(["--json", ...args]);
    assert.equal(code, 2);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, "CLI_USAGE");
  });
}
