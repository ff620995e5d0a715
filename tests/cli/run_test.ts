import assert from "node:assert/strict";
import { join } from "node:path";
import type { RunDocument } from "../../cli/run.ts";
import { decodeNpy } from "../../formats/npy.ts";
import { decodeNpz } from "../../formats/npz.ts";
import { decodeSafetensors } from "../../formats/safetensors.ts";
import { tensorDigest } from "../../formats/tensor_digest.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { manifestFields } from "../manifest/_plugin_folders.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";
import { assertTwoLines, called, documentOf, errorOf, hookline } from "./_hookline.ts";
import { pluginCall, withPlugin } from "./_plugin_calls.ts";

const FOLDER = fixturePath("torch", "bert");
const BERT = join(FOLDER, "model.onnx");
const CPU = ["--provider", "cpu", "--json"];

function ran(document: Record<string, unknown>): RunDocument {
  return document as unknown as RunDocument;
}

Deno.test("hookline run prints every output's dtype, shape and fingerprint", async () => {
  const outcome = await hookline(["run", BERT, "--inputs", FOLDER, ...CPU]);
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stderr, "");
  const { outputs, elapsedMs, ...others } = ran(documentOf(outcome));
  assert.deepEqual(others, {
    plan: "whole",
    engine: "native",
    provider: "cpu",
    plugins: [],
    denied: 0,
  });
  assert.ok(elapsedMs > 0);
  assert.deepEqual(Object.keys(outputs), ["last_hidden_state", "pooler_output"]);
  assert.deepEqual(outputs["pooler_output"]?.shape, [2, 32]);
  assert.equal(outputs["pooler_output"]?.dtype, "float32");
  assert.match(String(outputs["pooler_output"]?.sha256), /^[0-9a-f]{64}$/);
});

Deno.test("hookline run gives the same document twice but for the time", async () => {
  const args = ["run", BERT, "--random", "7", "--dim", "batch=2", "--dim", "seq=5", ...CPU];
  const [first, second] = [await called(args), await called(args)];
  assert.equal(first.code, 0, first.stdout);
  assert.deepEqual(ran(documentOf(first)).outputs, ran(documentOf(second)).outputs);
  const other = await called(args.map((arg) => arg === "7" ? "8" : arg));
  assert.notDeepEqual(ran(documentOf(other)).outputs, ran(documentOf(first)).outputs);
  assert.deepEqual(openSessions(), []);
});

Deno.test("hookline run keeps the outputs with --out", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const out = join(folder, "out.safetensors");
    const outcome = await called(["run", BERT, "--inputs", FOLDER, "--out", out, ...CPU]);
    assert.equal(outcome.code, 0, outcome.stdout);
    const kept = decodeSafetensors(await Deno.readFile(out), out);
    for (
      const [name, { dtype, shape, sha256 }] of Object.entries(ran(documentOf(outcome)).outputs)
    ) {
      const value = kept[name];
      assert.ok(value !== undefined);
      assert.deepEqual([value.dtype, value.shape, tensorDigest(value)], [dtype, shape, sha256]);
      const expected = decodeNpy(readFixture("torch", "bert", `out.${name}.npy`), name);
      (expected.data as Float32Array).forEach((wanted, index) => {
        assert.ok(Math.abs(wanted - Number(value.data[index])) < 1e-5);
      });
    }
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["out.safetensors"]);
    const nowhere = join(folder, "no", "out.safetensors");
    const failed = await called(["run", BERT, "--inputs", FOLDER, "--out", nowhere, ...CPU]);
    assert.equal(errorOf(failed)["code"], "FILE_WRITE");
    assert.equal(errorOf(failed)["file"], nowhere);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("hookline run takes a file for one input, by name or by position", async () => {
  const whole = ran(documentOf(await called(["run", BERT, "--inputs", FOLDER, ...CPU])));
  const file = (name: string) => join(FOLDER, `in.${name}.npy`);
  const single = await called([
    "run",
    BERT,
    ...["--input", `input_ids=${file("input_ids")}`],
    ...["--input", `1=${file("attention_mask")}`],
    ...["--input", `2=${file("token_type_ids")}`],
    ...CPU,
  ]);
  assert.deepEqual(ran(documentOf(single)).outputs, whole.outputs);
  const mixed = await called([
    "run",
    BERT,
    ...["--input", `0=${file("input_ids")}`],
    ...["--random", "1", "--dim", "batch=2", "--dim", "seq=7"],
    ...CPU,
  ]);
  assert.equal(mixed.code, 0, mixed.stdout);
  assert.notDeepEqual(ran(documentOf(mixed)).outputs, whole.outputs);
});

Deno.test("hookline run without inputs names the model's inputs and the options", async () => {
  const error = errorOf(await called(["run", BERT, ...CPU]));
  assert.equal(error["code"], "FEED_MISSING");
  assert.match(String(error["message"]), /input_ids int64\[batch, seq\], attention_mask/);
  assert.match(
    String(error["fix"]),
    /--inputs.*--input NAME=FILE.*--random SEED --dim batch=SIZE --dim seq=SIZE/,
  );
  assert.deepEqual(error["missing"], ["input_ids", "attention_mask", "token_type_ids"]);
  assert.deepEqual(error["dims"], ["batch", "seq"]);
  assertTwoLines(await called(["run", BERT, "--provider", "cpu"]), "FEED_MISSING");
});

Deno.test("hookline run refuses inputs and options that do not fit, each with its code", async () => {
  const ids = join(FOLDER, "in.input_ids.npy");
  const folder = await Deno.makeTempDir();
  try {
    const damaged = join(folder, "damaged.npy");
    await Deno.writeFile(damaged, (await Deno.readFile(ids)).subarray(0, 90));
    const random = ["--random", "0", "--dim", "batch=2"];
    const cases: readonly (readonly [readonly string[], string])[] = [
      [["--inputs", join(folder, "nowhere")], "FILE_READ"],
      [["--inputs", folder], "FEED_MISSING"],
      [["--inputs", ids], "OPTION_INVALID"],
      [["--input", `input_ids=${damaged}`, ...random, "--dim", "seq=3"], "FILE_FORMAT"],
      [["--input", `inputids=${ids}`, ...random, "--dim", "seq=7"], "FEED_UNKNOWN"],
      [
        ["--input", `input_ids=${join(FOLDER, "out.pooler_output.npy")}`, "--inputs", FOLDER],
        "FEED_DTYPE",
      ],
      [["--input", ids], "CLI_USAGE"],
      [["--input", "input_ids"], "CLI_USAGE"],
      [["--input", `0=${ids}`, "--input", `0=${ids}`], "CLI_USAGE"],
      [["--inputs", FOLDER, "--random", "0"], "CLI_USAGE"],
      [["--inputs", FOLDER, "--dim", "batch=2"], "CLI_USAGE"],
      [[...random, "--dim", "seq=two"], "CLI_USAGE"],
      [random, "OPTION_INVALID"],
      [[...random, "--dim", "seq=2", "--dim", "seqs=2"], "OPTION_INVALID"],
      [["--random", "0.5"], "OPTION_INVALID"],
      [["--inputs", FOLDER, "--threads", "0"], "OPTION_INVALID"],
      [["--inputs", FOLDER, "--optimization", "most"], "OPTION_INVALID"],
      [["--inputs", FOLDER, "--engine", "napy"], "ENGINE_UNKNOWN"],
      [["--inputs", FOLDER, "--provider", "gpu"], "PROVIDER_UNKNOWN"],
    ];
    for (const [args, code] of cases) {
      const provider = args.includes("--provider") ? [] : ["--provider", "cpu"];
      const error = errorOf(await called(["run", BERT, ...args, ...provider, "--json"]));
      assert.equal(error["code"], code, `${args.join(" ")}: ${error["message"]}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assert.deepEqual(openSessions(), []);
});

Deno.test("hookline run shows its outputs to people", async () => {
  const { code, stdout } = await called(["run", BERT, "--inputs", FOLDER, "--provider", "cpu"]);
  assert.equal(code, 0);
  const [first, ...others] = stdout.trimEnd().split("\n");
  assert.match(first ?? "", /^whole plan on cpu \(native\) in [\d.]+ ms$/);
  assert.match(
    others[0] ?? "",
    /^ {2}last_hidden_state {2}float32\[2, 7, 32\] {2}sha256 [0-9a-f]{64}$/,
  );
  assert.match(others[1] ?? "", /^ {2}pooler_output {6}float32\[2, 32\] {2}sha256 [0-9a-f]{64}$/);
});

Deno.test("hookline run --out takes .safetensors and .npz, and refuses another ending at once", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["run", BERT, "--inputs", FOLDER, ...CPU, "--out"];
    const failed = errorOf(await called([...args, join(folder, "x.txt")]));
    assert.equal(failed["code"], "OPTION_INVALID");
    assert.match(String(failed["fix"]), /\.safetensors or \.npz/);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    const out = join(folder, "x.npz");
    const outcome = await called([...args, out]);
    assert.equal(outcome.code, 0, outcome.stdout);
    const kept = decodeNpz(await Deno.readFile(out), out);
    assert.deepEqual(Object.keys(kept), ["last_hidden_state", "pooler_output"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const PLUGIN_MANIFEST = manifestFields({
  match: { modules: ["encoder.layer.0"] },
  permissions: [{ id: "read-activations", level: "values", modules: ["**"], reason: "r" }],
});
const PLUGIN_CODE = "export default { createHook: () => ({ postForward() {} }) };";

for (const level of ["inline", "worker", "process"]) {
  Deno.test(`the task hookline grants what plugins need at the level ${level}`, async () => {
    await withPlugin({ manifest: PLUGIN_MANIFEST, code: PLUGIN_CODE }, async ({ plugin, lock }) => {
      await pluginCall("grant", plugin, "--lock", lock);
      const outcome = await hookline([
        ...["run", BERT, "--provider", "cpu"],
        ...["--random", "1", "--dim", "batch=1", "--dim", "seq=4"],
        ...["--plugin", plugin, "--plugin-level", level, "--lock", lock, "--json"],
      ]);
      assert.equal(outcome.code, 0, outcome.stderr);
      const { plugins } = documentOf(outcome) as {
        readonly plugins: readonly { readonly level: string }[];
      };
      assert.deepEqual(plugins.map((one) => one.level), [level]);
    });
  });
}
