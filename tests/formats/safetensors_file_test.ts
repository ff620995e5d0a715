import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeSafetensors, encodeSafetensors } from "../../formats/safetensors.ts";
import { openSafetensors } from "../../formats/safetensors_file.ts";
import { float32 } from "../../tensor/tensor.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";
import { rejected } from "./_damage.ts";
import { assertSameTensor } from "./_tensors.ts";

/** Runs `use` with the path of a file of these bytes. */
async function withFile(bytes: Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-"));
  try {
    const path = join(folder, "x.safetensors");
    writeFileSync(path, bytes);
    await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

Deno.test("openSafetensors() lists and reads what decodeSafetensors() reads", async () => {
  const path = fixturePath("torch", "bert", "module_outputs.safetensors");
  const wanted = decodeSafetensors(readFixture("torch", "bert", "module_outputs.safetensors"), "x");
  await using file = await openSafetensors(path);
  assert.deepEqual(file.entries.map((entry) => entry.name), Object.keys(wanted));
  const tensors = await Promise.all(file.entries.map((entry) => file.read(entry.name)));
  file.entries.forEach((entry, index) => {
    const value = wanted[entry.name];
    assert.ok(value !== undefined);
    assertSameTensor(tensors[index], value);
    assert.equal(entry.byteLength, (value.data as Float32Array).byteLength);
    assert.equal(entry.storedType, "F32");
  });
});

Deno.test("openSafetensors() gives the metadata and reads around types without an array", async () => {
  await using golden = await openSafetensors(fixturePath("formats", "all_types.safetensors"));
  assert.deepEqual({ ...golden.metadata }, { a: "ü", b: "2" });
  await using file = await openSafetensors(fixturePath("formats", "complex.safetensors"));
  assert.equal(file.entries.find((entry) => entry.name === "c")?.dtype, null);
  assertSameTensor(await file.read("x"), float32([1], [1]));
  const error = await rejected(file.read("c"), "FILE_FORMAT");
  assert.match(error.message, /C64/);
});

Deno.test("openSafetensors() closes once, and refuses to read after that", async () => {
  const file = await openSafetensors(fixturePath("formats", "complex.safetensors"));
  await file.close();
  await file.close();
  assert.match((await rejected(file.read("x"), "FILE_READ")).message, /closed/);
});

Deno.test("openSafetensors() names the nearest tensors when there is none of a name", async () => {
  await using file = await openSafetensors(
    fixturePath("torch", "bert", "module_outputs.safetensors"),
  );
  const error = await rejected(file.read("embeddings.LayerNrm"), "OPTION_INVALID");
  assert.match(error.fix, /embeddings\.LayerNorm/);
});

Deno.test("openSafetensors() refuses paths that are no file", async () => {
  assert.match(
    (await rejected(openSafetensors(fixturePath("none")), "FILE_READ")).message,
    /does not exist/,
  );
  assert.match(
    (await rejected(openSafetensors(fixturePath("formats")), "FILE_READ")).message,
    /no regular file/,
  );
});

Deno.test("openSafetensors() refuses a damaged header and leaves no file open", async () => {
  const sound = encodeSafetensors({ x: float32([100], new Float32Array(100)) });
  for (const bytes of [new Uint8Array(0), sound.slice(0, 5), sound.slice(0, 20), sound.slice(1)]) {
    await withFile(bytes, async (path) => {
      await rejected(openSafetensors(path), "FILE_FORMAT");
    });
  }
});

Deno.test("openSafetensors() notices a file that is cut off while it is open", async () => {
  const sound = encodeSafetensors({ x: float32([100], new Float32Array(100)) });
  await withFile(sound, async (path) => {
    await using file = await openSafetensors(path);
    truncateSync(path, sound.length - 10);
    assert.match((await rejected(file.read("x"), "FILE_READ")).message, /shorter/);
  });
});
