import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { harden } from "../../sessions/harden.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { unaryModel } from "../../sessions/_tiny_model.ts";
import { ROOT } from "../suites.ts";
import { expectCode } from "./expect_code.ts";
import type { HardenOutcome } from "./harden_script.ts";

/** Runs harden_script.ts on a model whose output `b` is `-x`. */
async function hardenedChild(engine: string): Promise<HardenOutcome> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-harden-"));
  const path = join(folder, "model.onnx");
  writeFileSync(path, unaryModel([{ name: "b", op: "Neg" }]));
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-prompt",
        "--no-check",
        join(ROOT, "tests/sessions/harden_script.ts"),
        path,
        engine,
      ],
      cwd: ROOT,
      env: { ORT_DISABLE_TELEMETRY: "1", NO_COLOR: "1" },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

Deno.test("harden() gives up what is not needed; open and new napi sessions and plugins go on", async () => {
  const { hardened, outputs, attempts, engines, pluginEnded } = await hardenedChild("napi");
  assert.deepEqual(hardened, ["ffi", "import", "net", "run", "sys"]);
  assert.deepEqual(outputs, [[2], [2], [2]]);
  assert.deepEqual(attempts, {
    ffi: "NotCapable",
    run: "NotCapable",
    net: "NotCapable",
    sys: "NotCapable",
    read: null,
  });
  // The second model was opened with "auto", which may not take the native engine any more.
  assert.deepEqual(engines, ["napi", "napi"]);
  assert.ok(pluginEnded);
});

Deno.test("harden() gives nothing up while the native engine runs: it needs ffi to the end", async () => {
  const { hardened, outputs, attempts } = await hardenedChild("native");
  assert.equal(hardened, "HARDEN_REFUSED");
  assert.deepEqual(outputs, [[2], [2], [2]]);
  assert.deepEqual(Object.values(attempts), [null, null, null, null, null]);
});

Deno.test("harden() names the session that is in its way", async () => {
  const strike = sessionLedger.add({
    label: "bert.onnx",
    engine: "native",
    provider: "cpu",
    byteLength: 0,
    threads: 1,
  });
  try {
    const error = await expectCode("HARDEN_REFUSED", () => harden());
    assert.match(error.message, /1 open session uses the native engine \("bert\.onnx"\)/);
    assert.equal(Deno.permissions.querySync({ name: "net" }).state, "granted");
  } finally {
    strike();
  }
});

Deno.test("harden() refuses permissions and options that do not exist, before anything is given up", async () => {
  const revoke = ["net", "everything"] as unknown as ["net"];
  await expectCode("OPTION_INVALID", () => harden({ revoke }));
  await expectCode("OPTION_INVALID", () => harden({ keep: ["ffi"] } as object));
  assert.equal(Deno.permissions.querySync({ name: "net" }).state, "granted");
});
