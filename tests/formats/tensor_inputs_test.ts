import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeNpy } from "../../formats/npy.ts";
import { encodeNpz } from "../../formats/npz.ts";
import { encodeSafetensors } from "../../formats/safetensors.ts";
import { type DeclaredInput, inputSource, loadInputs } from "../../formats/tensor_inputs.ts";
import { float32, type Tensor, tensor, type TensorMap } from "../../tensor/tensor.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { rejected } from "./_damage.ts";
import { assertSameTensor } from "./_tensors.ts";

const one = (value: number): Tensor => float32([1], [value]);
const input = (name: string, more: Partial<DeclaredInput> = {}): DeclaredInput => ({
  name,
  dtype: "float32",
  shape: [1],
  ...more,
});

/** Runs `use` in a folder with these files, made anew. */
async function inFolder(
  files: Readonly<Record<string, Uint8Array | string>>,
  use: (path: (name: string) => string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-"));
  try {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    await use((name) => join(folder, name), folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What each input's one number is. */
function numbers(found: TensorMap): Record<string, number> {
  return Object.fromEntries(
    Object.entries(found).map(([name, value]) => [name, Number(value.data[0])]),
  );
}

Deno.test("loadInputs() takes the inputs of every torch fixture from its folder", async () => {
  const past = [0, 1, 2].flatMap((layer) =>
    ["key", "value"].map((kind) => `past_key_values.${layer}.${kind}`)
  );
  const models: Record<string, string[]> = {
    bert: ["input_ids", "attention_mask", "token_type_ids"],
    gpt2_past: ["input_ids", "attention_mask", ...past],
    unet: ["x", "t"],
    vit: ["x"],
  };
  for (const [model, names] of Object.entries(models)) {
    const dir = fixturePath("torch", model);
    const found = await loadInputs({ dir }, names.map((name) => input(name)));
    assert.deepEqual(Object.keys(found), names);
  }
});

Deno.test("loadInputs() takes NAME.npy before in.NAME.npy and ignores other files", async () => {
  const files = {
    "x.npy": encodeNpy(one(1)),
    "in.x.npy": encodeNpy(one(2)),
    "in.y.npy": encodeNpy(one(3)),
    "out.z.npy": "no tensor",
    "notes.txt": "",
  };
  await inFolder(files, async (_path, dir) => {
    assert.deepEqual(numbers(await loadInputs({ dir }, [input("y"), input("x")])), { y: 3, x: 1 });
    const both = await loadInputs({ dir }, [input("in.x"), input("x")]);
    assert.deepEqual(numbers(both), { "in.x": 2, x: 1 });
    await rejected(loadInputs({ dir }, [input("y"), input("in.y")]), "FEED_MISSING");
  });
});

Deno.test("loadInputs() finds names that a file system dislikes in their encoded form", async () => {
  const files = {
    "%2Fmodel%2Fx%3A0.npy": encodeNpy(one(1)),
    "in.a%2Fb.npy": encodeNpy(one(2)),
    "input:0.npy": encodeNpy(one(3)),
    "...npy": encodeNpy(one(4)),
  };
  await inFolder(files, async (path, dir) => {
    const names = ["/model/x:0", "a/b", "input:0", ".."];
    const found = await loadInputs({ dir }, names.map((name) => input(name)));
    assert.deepEqual(Object.values(numbers(found)), [1, 2, 3, 4]);
    mkdirSync(path("inner"));
    const escape = loadInputs({ dir: path("inner") }, [input("../input:0")]);
    const error = await rejected(escape, "FEED_MISSING");
    assert.deepEqual(error.details.tried, {
      "../input:0": ["..%2Finput%3A0.npy", "in...%2Finput%3A0.npy"],
    });
  });
});

Deno.test("loadInputs() takes .npz, .safetensors and .json files, extra tensors ignored", async () => {
  const map = { x: one(1), "in.y": one(2), extra: one(3) };
  const json = '{"x": [1], "in.y": [2], "extra": {"dtype": "int8", "data": [3]}}';
  const files = {
    "a.npz": encodeNpz(map),
    "a.safetensors": encodeSafetensors(map),
    "a.JSON": json,
  };
  await inFolder(files, async (path) => {
    for (const name of Object.keys(files)) {
      const found = await loadInputs({ file: path(name) }, [input("x"), input("y")]);
      assert.deepEqual(numbers(found), { x: 1, y: 2 }, name);
    }
  });
});

Deno.test("loadInputs() takes a .npy file for the only input that must be given", async () => {
  await inFolder({ "a.npy": encodeNpy(one(1)) }, async (path) => {
    const file = path("a.npy");
    const declared = [input("o", { optional: true }), input("x")];
    assert.deepEqual(numbers(await loadInputs({ file }, declared)), { x: 1 });
    assert.deepEqual(numbers(await loadInputs({ file }, declared.slice(0, 1))), { o: 1 });
    await rejected(loadInputs({ file }, [input("x"), input("y")]), "OPTION_INVALID");
  });
});

Deno.test("loadInputs() sets single inputs by name or position, before file and folder", async () => {
  const files = {
    "x.npy": encodeNpy(one(1)),
    "y.npy": encodeNpy(one(2)),
    "z.npy": encodeNpy(one(3)),
    "all.npz": encodeNpz({ y: one(20), z: one(30) }),
    "other.npy": encodeNpy(one(300)),
  };
  const declared = [input("x"), input("y"), input("z")];
  await inFolder(files, async (path, dir) => {
    const sources = { dir, file: path("all.npz"), files: { "2": path("other.npy") } };
    assert.deepEqual(numbers(await loadInputs(sources, declared)), { x: 1, y: 20, z: 300 });
    const named = { files: { x: path("x.npy"), y: path("all.npz"), "2": path("z.npy") } };
    assert.deepEqual(numbers(await loadInputs(named, declared)), { x: 1, y: 20, z: 3 });
    const digits = { files: { "1": path("x.npy"), "0": path("y.npy") } };
    assert.deepEqual(numbers(await loadInputs(digits, [input("1"), input("0")])), {
      "1": 1,
      "0": 2,
    });
    const twice = { files: { x: path("x.npy"), "0": path("y.npy") } };
    await rejected(loadInputs(twice, declared), "OPTION_INVALID");
    const vague = { files: { x: path("all.npz") } };
    await rejected(loadInputs(vague, [input("x")]), "FEED_MISSING");
  });
});

Deno.test("loadInputs() refuses a name or position that the model does not have", async () => {
  const declared = [input("input_ids"), input("mask")];
  const near = await rejected(
    loadInputs({ files: { inputs_ids: "x.npy" } }, declared),
    "FEED_UNKNOWN",
  );
  assert.match(near.fix, /input_ids/);
  const far = await rejected(loadInputs({ files: { "2": "x.npy" } }, declared), "FEED_UNKNOWN");
  assert.match(far.fix, /input_ids, mask/);
  await rejected(loadInputs({ files: { constructor: "x.npy" } }, declared), "FEED_UNKNOWN");
});

Deno.test("loadInputs() lists every missing input with the names it tried", async () => {
  const files = { "y.npy": encodeNpy(one(1)), "input_idx.npy": encodeNpy(one(1)) };
  await inFolder(files, async (_path, dir) => {
    const declared = [
      input("input_ids"),
      input("y"),
      input("mask"),
      input("o", { optional: true }),
    ];
    const error = await rejected(loadInputs({ dir }, declared), "FEED_MISSING");
    assert.deepEqual(error.details.missing, ["input_ids", "mask"]);
    assert.match(error.message, /"mask" \(tried mask\.npy, in\.mask\.npy\)/);
    assert.match(error.fix, /what is there \(input_idx\)/);
  });
  const bare = await rejected(loadInputs({}, [input("x")]), "FEED_MISSING");
  assert.match(bare.fix, /--random SEED/);
  assert.deepEqual(Object.keys(await loadInputs({}, [])), []);
});

Deno.test("loadInputs() casts nothing, but gives numpy's bit patterns their declared dtype", async () => {
  const half = tensor("bfloat16", [1], Uint16Array.of(0x3f80));
  const byte = tensor("float8e5m2", [1], Uint8Array.of(0x3c));
  const files = {
    "h.npy": encodeNpy(half),
    "u.npy": encodeNpy(tensor("uint16", [1], Uint16Array.of(0x3f80))),
    "b.npy": encodeNpy(byte),
    "x.npy": encodeNpy(tensor("float64", [1], Float64Array.of(1))),
    "s.safetensors": encodeSafetensors({ u: tensor("uint16", [1], Uint16Array.of(1)) }),
  };
  await inFolder(files, async (path, dir) => {
    const found = await loadInputs({ dir }, [
      input("h", { dtype: "bfloat16" }),
      input("u", { dtype: "bfloat16" }),
      input("b", { dtype: "float8e5m2" }),
      input("x"),
    ]);
    assertSameTensor(found.h, half);
    assertSameTensor(found.u, half);
    assertSameTensor(found.b, byte);
    assert.equal(found.x?.dtype, "float64");
    const plain = await loadInputs({ file: path("s.safetensors") }, [
      input("u", { dtype: "bfloat16" }),
    ]);
    assert.equal(plain.u?.dtype, "uint16");
  });
});

Deno.test("loadInputs() refuses files that are not there, of another kind, or damaged", async () => {
  await inFolder({ "x.txt": "", "x.npy": "", "bare": "" }, async (path, dir) => {
    await rejected(loadInputs({ dir: path("none") }, [input("x")]), "FILE_READ");
    await rejected(loadInputs({ file: path("none.npz") }, [input("x")]), "FILE_READ");
    await rejected(loadInputs({ files: { x: path("none.npy") } }, [input("x")]), "FILE_READ");
    await rejected(loadInputs({ file: path("x.txt") }, [input("x")]), "FILE_FORMAT");
    await rejected(loadInputs({ file: path("bare") }, [input("x")]), "FILE_FORMAT");
    await rejected(loadInputs({ dir }, [input("x")]), "FILE_FORMAT");
  });
});

Deno.test("inputSource() tells a folder from a file", async () => {
  const path = fixturePath("torch", "unet", "in.x.npy");
  assert.deepEqual(await inputSource(path), { file: path });
  assert.deepEqual(await inputSource(fixturePath("torch")), { dir: fixturePath("torch") });
  await rejected(inputSource(fixturePath("none")), "FILE_READ");
});

Deno.test("loadInputs() says which input is no tensor", async () => {
  await assert.rejects(
    loadInputs({ dir: "." }, [{ name: "items", dtype: null, shape: null }]),
    { code: "FEED_DTYPE", message: /"items"/ },
  );
});
