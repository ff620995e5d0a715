import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HooklineError } from "../../errors/hookline_error.ts";
import { decodeNpz, encodeNpz } from "../../formats/npz.ts";
import { openNpzWriter, recoverNpz } from "../../formats/npz_writer.ts";
import { float32, tensor } from "../../tensor/tensor.ts";

const hasCode = (code: string) => (error: unknown) =>
  error instanceof HooklineError && error.code === code;
const TENSORS = {
  "hidden/0": float32([2, 2], [1, 2, 3, 4]),
  "words": tensor("string", [2], ["é", "bc"]),
  "ids": tensor("int64", [1], BigInt64Array.of(5n)),
};

async function inFolder(test: (path: (name: string) => string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "hookline-npz-"));
  try {
    await test((name) => join(root, name));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

Deno.test("openNpzWriter() writes the very bytes that encodeNpz() gives", () =>
  inFolder(async (at) => {
    const path = at("a.npz");
    await using writer = await openNpzWriter(path);
    for (const [name, value] of Object.entries(TENSORS)) await writer.write(name, value);
    assert.equal(existsSync(path), false);
    await writer.close();
    await writer.close();
    assert.deepEqual(new Uint8Array(readFileSync(path)), encodeNpz(TENSORS));
    assert.deepEqual(writer.names, Object.keys(TENSORS));
  }));

Deno.test("openNpzWriter() refuses a name twice and a closed writer", () =>
  inFolder(async (at) => {
    const writer = await openNpzWriter(at("b.npz"));
    await writer.write("x", float32([1], [1]));
    await assert.rejects(writer.write("x", float32([1], [1])), hasCode("FILE_WRITE"));
    await assert.rejects(writer.write("\ud800", float32([1], [1])), hasCode("FILE_WRITE"));
    await writer.close();
    await assert.rejects(writer.write("y", float32([1], [1])), hasCode("FILE_WRITE"));
    assert.deepEqual(Object.keys(decodeNpz(new Uint8Array(readFileSync(at("b.npz"))), "b")), ["x"]);
  }));

Deno.test("recoverNpz() saves every whole entry of a file cut off anywhere", () =>
  inFolder(async (at) => {
    const path = at("c.npz");
    const writer = await openNpzWriter(path);
    for (const [name, value] of Object.entries(TENSORS)) await writer.write(name, value);
    await writer.abandon();
    const bytes = new Uint8Array(readFileSync(`${path}.partial`));
    const first = encodeNpz({ "hidden/0": TENSORS["hidden/0"] }).length - 22 - 46 - 12;
    for (let cut = first; cut <= bytes.length; cut += 37) {
      writeFileSync(`${path}.partial`, bytes.subarray(0, cut));
      const { names, droppedByteLength } = await recoverNpz(path);
      const saved = decodeNpz(new Uint8Array(readFileSync(path)), "c");
      assert.deepEqual(Object.keys(saved), [...names]);
      assert.deepEqual(saved["hidden/0"]?.data, TENSORS["hidden/0"].data);
      assert.ok(droppedByteLength >= 0 && droppedByteLength < cut);
    }
    writeFileSync(`${path}.partial`, bytes);
    assert.deepEqual((await recoverNpz(path)).names, Object.keys(TENSORS));
  }));

Deno.test("recoverNpz() refuses what no writer left", () =>
  inFolder(async (at) => {
    await assert.rejects(recoverNpz(at("d.npz")), hasCode("FILE_WRITE"));
    writeFileSync(at("d.npz.partial"), "nothing of the kind");
    await assert.rejects(recoverNpz(at("d.npz")), hasCode("FILE_FORMAT"));
  }));
