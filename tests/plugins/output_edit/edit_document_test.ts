import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  encodeNpy,
  encodeSafetensors,
  float32,
  type Model,
  type Tensor,
  type TensorMap,
} from "../../../mod.ts";
import {
  addVector,
  clamp,
  editKinds,
  HookFunction,
  loadEdits,
  makeEdit,
  meanAblate,
  OutputEditor,
  parseEdits,
  patch,
  readFileTensor,
  replayEdits,
  saveEdits,
  scale,
  serialiseEdits,
  steer,
  zero,
} from "../../../plugins/output_edit/mod.ts";
import { assertSameBits, BERT_FEEDS, coded, LAYER_1, openTorch } from "./_models.ts";

const WAVE = float32([32], Float32Array.from({ length: 32 }, (_, index) => Math.sin(index)));

class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "hookline-edits-"));
  file(name: string): string {
    return join(this.path, name);
  }
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** One hook of every kind, on several modules, in groups. */
async function editAll(editor: OutputEditor, folder: Folder): Promise<void> {
  writeFileSync(
    folder.file("clean.safetensors"),
    encodeSafetensors({ "h.1": float32([1, 1, 32], WAVE.data as Float32Array), other: WAVE }),
  );
  const clean = await readFileTensor(folder.file("clean.safetensors"), "h.1");
  const edits = [
    scale(0.3),
    addVector(WAVE, { at: [{ axis: 1, start: 1 }] }),
    clamp({ min: -0.7, max: 0.9 }),
    steer(WAVE, { coefficient: -0.4, normalize: true }),
    patch(clean, { at: [{ axis: 1, indices: [3] }] }),
    meanAblate({ axes: [1], at: [{ axis: -1, start: 0, end: 4 }] }),
    zero({ at: [{ axis: -1, indices: [31] }] }),
  ];
  for (const [index, editingFunction] of edits.entries()) {
    editor.register(
      new HookFunction(`encoder.layer.${index % 3}`, {
        editingFunction,
        expectedShape: [null, 7, 32],
        unpackIdx: index === 1 ? LAYER_1 : -1,
      }),
      { groups: index % 2 === 0 ? ["even"] : [] },
    );
  }
  editor.register(
    new HookFunction("encoder.layer.2", { unpackIdx: LAYER_1, editingFunction: scale(1.25) }),
    { type: "forward_pre", groups: ["pre"] },
  );
  editor.register(new HookFunction("encoder.layer.0", { capture: "post-edit" }));
  editor.register(new HookFunction("encoder.layer.2", { editingFunction: zero() }), {
    groups: ["silent"],
  });
  editor.switchOff("silent");
}

async function replayed(
  model: Model,
  edits: Awaited<ReturnType<typeof parseEdits>>,
): Promise<TensorMap> {
  using editor = new OutputEditor(model);
  replayEdits(editor, edits);
  assert.deepEqual(editor.groupsOff, ["silent"]);
  assert.deepEqual(editor.groups, ["all", "even", "pre", "silent"]);
  return await model.run(BERT_FEEDS);
}

Deno.test("edits that are saved, loaded and replayed give the same bits, with tensors inline or in files", async () => {
  using folder = new Folder();
  await using model = await openTorch("bert");
  const editor = new OutputEditor(model);
  await editAll(editor, folder);
  const truth = await model.run(BERT_FEEDS);
  const document = serialiseEdits(editor);
  await saveEdits(folder.file("inline.json"), editor);
  await saveEdits(folder.file("apart.json"), editor, { tensors: "file" });
  editor.restore();
  const plain = await model.run(BERT_FEEDS);
  const sets = [
    await parseEdits(document),
    await parseEdits(JSON.stringify(document)),
    await loadEdits(folder.file("inline.json")),
    await loadEdits(folder.file("apart.json")),
  ];
  for (const set of sets) {
    const outputs = await replayed(model, set);
    assertSameBits(outputs["last_hidden_state"], truth["last_hidden_state"]);
    assertSameBits(outputs["pooler_output"], truth["pooler_output"]);
  }
  assert.notDeepEqual(truth["pooler_output"]?.data, plain["pooler_output"]?.data);
  const inline = readFileSync(folder.file("inline.json"), "utf8");
  assert.match(inline, /"file": "clean.safetensors"/); // a file of its own is referred to
  assert.match(inline, /"base64"/);
  const apart = readFileSync(folder.file("apart.json"), "utf8");
  assert.doesNotMatch(apart, /"base64"/);
  assert.match(apart, /"file": "apart.json.safetensors"/);
});

Deno.test("saving what was replayed gives the same document, byte for byte", async () => {
  using folder = new Folder();
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  await editAll(editor, folder);
  await saveEdits(folder.file("one.json"), editor);
  const loaded = await loadEdits(folder.file("one.json"));
  editor.restore();
  replayEdits(editor, loaded);
  await saveEdits(folder.file("two.json"), editor);
  assert.equal(
    readFileSync(folder.file("two.json"), "utf8"),
    readFileSync(folder.file("one.json"), "utf8"),
  );
});

Deno.test("a file that changed since the edits were saved is refused", async () => {
  using folder = new Folder();
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  writeFileSync(folder.file("v.npy"), encodeNpy(WAVE));
  editor.register(
    new HookFunction("encoder.layer.1", {
      editingFunction: addVector(await readFileTensor(folder.file("v.npy"))),
    }),
  );
  await saveEdits(folder.file("edits.json"), editor);
  await loadEdits(folder.file("edits.json"));
  const changed = (WAVE.data as Float32Array).slice();
  changed[5] = (changed[5] ?? 0) + 1e-6;
  writeFileSync(folder.file("v.npy"), encodeNpy(float32([32], changed)));
  await assert.rejects(
    loadEdits(folder.file("edits.json")),
    coded("FILE_FORMAT", /"v.npy" holds another tensor than the document says/),
  );
  rmSync(folder.file("v.npy"));
  await assert.rejects(loadEdits(folder.file("edits.json")), coded("FILE_READ", /v.npy/));
});

Deno.test("a document reads no file outside its folder, and none when it has no folder", async () => {
  using folder = new Folder();
  const { digest, ...stored } = { dtype: "float32", shape: [1], digest: "" };
  const documentOf = (file: string) => ({
    format: "hookline-edits",
    version: 1,
    edits: [{
      module: "encoder.layer.1",
      edit: { kind: "add", vector: { ...stored, sha256: digest, file } },
    }],
  });
  for (const file of ["../secret.npy", "/etc/passwd", "a/../../secret.npy"]) {
    await assert.rejects(
      parseEdits(documentOf(file), { folder: folder.path }),
      coded("OPTION_INVALID", /outside its folder/),
    );
  }
  await assert.rejects(
    parseEdits(documentOf("v.npy")),
    coded("OPTION_INVALID", /folder is not known/),
  );
});

Deno.test("an editing function that is code cannot be saved, and the error says what to do", async () => {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  editor.register(
    new HookFunction("encoder.layer.1", { editingFunction: (activation) => activation }),
  );
  assert.throws(
    () => serialiseEdits(editor),
    coded("OPTION_INVALID", /"encoder.layer.1": its editing function is code/),
  );
});

Deno.test("a kind of your own is saved and replayed when the reader knows it", async () => {
  const flip = {
    kind: "acme_flip",
    serialise: () => ({}),
    parse: () => ({}),
    apply: (activation: Tensor) =>
      float32(activation.shape, (activation.data as Float32Array).map((value) => -value)),
  };
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  editor.register(new HookFunction("encoder.layer.1", { editingFunction: makeEdit(flip, {}) }));
  const truth = await model.run(BERT_FEEDS);
  const document = serialiseEdits(editor);
  await assert.rejects(parseEdits(document), coded("OPTION_INVALID", /"acme_flip"/));
  editor.restore();
  replayEdits(editor, await parseEdits(document, { kinds: editKinds([flip]) }));
  assertSameBits((await model.run(BERT_FEEDS))["pooler_output"], truth["pooler_output"]);
});

Deno.test("a damaged document is refused with what is wrong", async () => {
  const base = { format: "hookline-edits", version: 1, off: [], edits: [] };
  const entry = { module: "encoder.layer.1", edit: { kind: "scale", factor: 2 } };
  const rejects = async (document: object, text: RegExp) => {
    await assert.rejects(parseEdits(JSON.stringify(document)), coded("OPTION_INVALID", text));
  };
  await assert.rejects(parseEdits("{"), coded("FILE_FORMAT"));
  await rejects({ ...base, version: 2 }, /version 1/);
  await rejects({ ...base, more: 1 }, /unknown field "more"/);
  await rejects({ ...base, edits: {} }, /"edits" is no list/);
  await rejects({ ...base, edits: [{ ...entry, modul: 1 }] }, /unknown field "modul"/);
  await rejects({ ...base, edits: [{ edit: null }] }, /edit 0 has no module/);
  await rejects({ ...base, edits: [{ ...entry, type: "backward" }] }, /"backward"/);
  await rejects({ ...base, edits: [{ ...entry, unpackIdx: null }] }, /another form/);
  await rejects({ ...base, edits: [{ ...entry, edit: { kind: "scael" } }] }, /"scael"/);
  await rejects({ ...base, off: [1] }, /no text/);
  const vector = { dtype: "float32", shape: [2], sha256: "0", base64: "AAAA" };
  await assert.rejects(
    parseEdits({ ...base, edits: [{ ...entry, edit: { kind: "add", vector } }] }),
    coded("FILE_FORMAT", /3 bytes do not make a float32 tensor of 2 elements/),
  );
  await assert.rejects(loadEdits("/nowhere/edits.json"), coded("FILE_READ"));
});

Deno.test("saveEdits() says FILE_WRITE when the file cannot be written", async () => {
  using folder = new Folder();
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  await assert.rejects(saveEdits(folder.path, editor), coded("FILE_WRITE"));
});

Deno.test("readFileTensor() chooses by name, or the only tensor, and refuses other files", async () => {
  using folder = new Folder();
  writeFileSync(folder.file("two.safetensors"), encodeSafetensors({ a: WAVE, b: WAVE }));
  assertSameBits(await readFileTensor(folder.file("two.safetensors"), "b"), WAVE);
  await assert.rejects(
    readFileTensor(folder.file("two.safetensors")),
    coded("OPTION_INVALID", /it holds 2/),
  );
  await assert.rejects(
    readFileTensor(folder.file("two.safetensors"), "c"),
    coded("OPTION_INVALID", /"c"/),
  );
  await assert.rejects(readFileTensor(folder.file("v.bin")), coded("OPTION_INVALID", /\.npy/));
});
