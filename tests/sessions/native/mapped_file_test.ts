import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MappedFile, mappingRefusal } from "../../../sessions/native/mapped_file.ts";
import { skippable } from "../../skippable.ts";
import { expectCode } from "../expect_code.ts";

const MIB = 2 ** 20;

function withFile(name: string, body: (path: string) => Promise<void> | void): void {
  Deno.test({
    ...skippable(name, mappingRefusal() ?? undefined),
    async fn() {
      const folder = mkdtempSync(join(tmpdir(), "hookline-mapped-"));
      try {
        const path = join(folder, "weights.bin");
        writeFileSync(path, Uint8Array.from({ length: MIB }, (_, at) => at * 7));
        await body(path);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  });
}

function bytesAt(file: MappedFile, byteOffset: number, byteLength: number): Uint8Array {
  const pointer = file.pointer({ byteOffset, byteLength });
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, byteLength)).slice();
}

withFile(
  "MappedFile shows a file's bytes at any offset",
  (path) => {
    using file = new MappedFile(path);
    assert.equal(file.byteLength, MIB);
    const wanted = readFileSync(path);
    for (const offset of [0, 1, 65_537, MIB - 10]) {
      assert.deepEqual(
        bytesAt(file, offset, 10),
        new Uint8Array(wanted.subarray(offset, offset + 10)),
      );
    }
  },
);

withFile("MappedFile refuses ranges outside the file and use after release", async (path) => {
  const file = new MappedFile(path);
  const ranges = [[MIB, 1], [-1, 1], [0, MIB + 1], [0.5, 1], [2 ** 53, 1]];
  for (const [byteOffset = 0, byteLength = 0] of ranges) {
    await expectCode("MODEL_EXTERNAL_RANGE", async () => {
      await Promise.resolve();
      file.pointer({ byteOffset, byteLength });
    });
  }
  file.retain();
  const pointer = file.pointer({ byteOffset: 7, byteLength: 1 });
  file[Symbol.dispose]();
  file[Symbol.dispose]();
  assert.equal(new Deno.UnsafePointerView(pointer).getUint8(), 49); // still mapped: it is retained
  file.release();
  await expectCode("SESSION_RELEASED", async () => {
    await Promise.resolve();
    file.pointer({ byteOffset: 0, byteLength: 1 });
  });
});

withFile("MappedFile refuses files that are missing, empty or folders", async (path) => {
  const open = (name: string) => async () => {
    await Promise.resolve();
    new MappedFile(name)[Symbol.dispose]();
  };
  await expectCode("MODEL_NOT_FOUND", open(`${path}.no`));
  await expectCode("MODEL_NOT_FOUND", open(join(path, "..")));
  writeFileSync(path, new Uint8Array());
  await expectCode("MODEL_EMPTY", open(path));
});
