import assert from "node:assert/strict";
import { join } from "node:path";
import type { CaptureDocument } from "../../cli/capture.ts";
import { decodeNpz } from "../../formats/npz.ts";
import { decodeSafetensors } from "../../formats/safetensors.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";
import { called, documentOf, errorOf, hookline } from "./_hookline.ts";

const FOLDER = fixturePath("torch", "bert");
const BERT = join(FOLDER, "model.onnx");
const COMMON = ["--inputs", FOLDER, "--provider", "cpu", "--json"];

const captured = (document: Record<string, unknown>) => document as unknown as CaptureDocument;

Deno.test("hookline capture prints modules and shapes by key, and keeps the values", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const out = join(folder, "captured.safetensors");
    const outcome = await hookline([
      "capture",
      BERT,
      "--select",
      "hidden=encoder.layer.*",
      "--select",
      "weights=encoder.layer.*.attention.self::Softmax",
      "--out",
      out,
      ...COMMON,
    ]);
    assert.equal(outcome.code, 0, outcome.stderr);
    const { captures, out: kept } = captured(documentOf(outcome));
    assert.equal(kept, out);
    assert.deepEqual(Object.keys(captures), ["hidden", "weights"]);
    assert.deepEqual(captures["hidden"]?.[1], {
      module: "encoder.layer.1",
      dtype: "float32",
      shape: [2, 7, 32],
      tensor: "hidden/encoder.layer.1",
    });
    assert.deepEqual(captures["weights"]?.[0]?.shape, [2, 4, 7, 7]);
    const saved = decodeSafetensors(await Deno.readFile(out), out);
    const truth = decodeSafetensors(
      readFixture("torch", "bert", "module_outputs.safetensors"),
      "truth",
    );
    assert.equal(Object.keys(saved).length, 6);
    for (const layer of [0, 1, 2]) {
      const found = saved[`hidden/encoder.layer.${layer}`]?.data as Float32Array;
      const right = truth[`encoder.layer.${layer}`]?.data as Float32Array;
      right.forEach((value, at) => assert.ok(Math.abs(value - (found[at] ?? NaN)) < 1e-5));
    }
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), [
      "captured.safetensors",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("hookline capture names the outputs of a module with several, and writes .npz as well", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [out, gpt2] = [join(folder, "c.npz"), fixturePath("torch", "gpt2_past")];
    const outcome = await called([
      "capture",
      join(gpt2, "model.onnx"),
      "--inputs",
      gpt2,
      "--select",
      "h=transformer.h.0",
      "--select",
      "h=transformer.ln_f",
      "--out",
      out,
      "--json",
    ]);
    assert.equal(outcome.code, 0, outcome.stdout);
    const names = captured(documentOf(outcome)).captures["h"]?.map(({ tensor }) => tensor);
    assert.deepEqual(names, [
      "h/transformer.h.0[0]",
      "h/transformer.h.0[1]",
      "h/transformer.h.0[2]",
      "h/transformer.ln_f",
    ]);
    assert.deepEqual(Object.keys(decodeNpz(await Deno.readFile(out), out)), names);
    assert.deepEqual(openSessions(), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("hookline capture takes module inputs and stops early on request", async () => {
  const args = ["capture", BERT, "--select", "x=encoder.layer.0", "--module-inputs", "--stop"];
  const outcome = await called([...args, ...COMMON]);
  assert.equal(outcome.code, 0, outcome.stdout);
  const { captures, out } = captured(documentOf(outcome));
  assert.equal(out, null);
  assert.deepEqual(captures["x"]?.map(({ tensor, shape }) => [tensor, shape]), [
    ["x/encoder.layer.0:in[0]", [2, 7, 32]],
    ["x/encoder.layer.0:in[1]", [2, 1, 1, 7]],
  ]);
});

Deno.test("hookline capture refuses wrong calls with a code", async () => {
  const cases = [
    [["capture", BERT, ...COMMON], "CLI_USAGE"],
    [["capture", BERT, "--select", "encoder", ...COMMON], "CLI_USAGE"],
    [["capture", BERT, "--select", "a=encoder.layr.*", ...COMMON], "HOOK_MATCH_EMPTY"],
    [["capture", BERT, "--select", "a=encoder", "--out", "x.txt", ...COMMON], "OPTION_INVALID"],
  ] as const;
  for (const [args, code] of cases) {
    const outcome = await called(args);
    assert.equal(outcome.code, 2);
    assert.equal(errorOf(outcome).code, code);
  }
});
