import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  guardModelFile,
  resolveWeightFiles,
  type WeightReference,
} from "../../sessions/weight_file_guard.ts";
import { expectCode } from "./expect_code.ts";

// root/model/{model.onnx, w.bin (8 bytes), sub/w.bin, inside -> w.bin, escape -> ../secret.bin, …}
const root = realpathSync(mkdtempSync(join(tmpdir(), "hookline-guard-")));
const folder = join(root, "model");
mkdirSync(join(folder, "sub"), { recursive: true });
writeFileSync(join(root, "secret.bin"), new Uint8Array(8));
writeFileSync(join(folder, "model.onnx"), new Uint8Array(5));
writeFileSync(join(folder, "w.bin"), new Uint8Array(8));
writeFileSync(join(folder, "sub", "w.bin"), new Uint8Array(4));
writeFileSync(join(folder, "..w.bin"), new Uint8Array(4));
symlinkSync("w.bin", join(folder, "inside"));
symlinkSync("../secret.bin", join(folder, "escape"));
symlinkSync("..", join(folder, "up"));
symlinkSync("nowhere", join(folder, "broken"));
symlinkSync("model", join(root, "alias"));
globalThis.addEventListener("unload", () => rmSync(root, { recursive: true }));

function at(
  location: string,
  byteOffset = 0,
  byteLength: number | null = null,
): WeightReference {
  return { location, byteOffset, byteLength };
}

Deno.test("resolveWeightFiles() resolves each location once, in order of first use", () => {
  const found = resolveWeightFiles(join(root, "alias"), [
    at("w.bin", 0, 4),
    at("sub/w.bin"),
    at("w.bin", 4, 4),
    at("inside"),
    at("..w.bin"),
    at("./w.bin"),
  ]);
  assert.equal(found.folder, folder);
  assert.deepEqual(
    found.files.map(({ location, path, byteLength }) => [
      location,
      path.slice(folder.length + 1),
      byteLength,
    ]),
    [
      ["w.bin", "w.bin", 8],
      ["sub/w.bin", join("sub", "w.bin"), 4],
      ["inside", "w.bin", 8],
      ["..w.bin", "..w.bin", 4],
      ["./w.bin", "w.bin", 8],
    ],
  );
  assert.deepEqual(resolveWeightFiles(folder, []).files, []);
});

Deno.test("resolveWeightFiles() refuses every way out of the folder", async () => {
  for (
    const location of [
      "../secret.bin",
      "sub/../../secret.bin",
      "sub/../w.bin",
      "sub\\..\\w.bin",
      join(root, "secret.bin"),
      join(folder, "w.bin"),
      "C:\\w.bin",
      "\\\\server\\w.bin",
      "",
      ".",
      "w.bin\0.txt",
      "*/_ORT_MEM_ADDR_/*",
      "escape",
      "up/secret.bin",
      "up/model/../secret.bin",
    ]
  ) {
    const code = location === "."
      ? "MODEL_EXTERNAL_MISSING" // the folder itself, which is no file
      : "MODEL_EXTERNAL_OUTSIDE";
    const error = await expectCode(
      code,
      () => resolveWeightFiles(folder, [at(location)]),
    );
    assert.equal(error.details["location"], location);
  }
});

Deno.test("resolveWeightFiles() says which file is missing", async () => {
  for (const location of ["no.bin", "broken", "sub", "w.bin/x", "x".repeat(999)]) {
    await expectCode(
      "MODEL_EXTERNAL_MISSING",
      () => resolveWeightFiles(folder, [at(location)]),
    );
  }
  await expectCode(
    "MODEL_NOT_FOUND",
    () => resolveWeightFiles(join(root, "gone"), []),
  );
});

Deno.test("resolveWeightFiles() checks every range against the file's size", async () => {
  resolveWeightFiles(folder, [at("w.bin", 8), at("w.bin", 0, 8), at("w.bin", 8, 0)]);
  for (
    const [offset, length] of [
      [0, 9],
      [4, 5],
      [9, null],
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [NaN, 1],
      [2 ** 53, 1],
      [1, 2 ** 53],
      [0, Infinity],
    ] as const
  ) {
    const error = await expectCode(
      "MODEL_EXTERNAL_RANGE",
      () => resolveWeightFiles(folder, [at("w.bin", offset, length)]),
    );
    assert.match(error.message, /the file has 8$/);
  }
});

Deno.test("guardModelFile() gives path, real path, folder and size", async () => {
  const path = join(root, "alias", "model.onnx");
  assert.deepEqual(guardModelFile(path), {
    path,
    realPath: join(folder, "model.onnx"),
    folder: join(root, "alias"),
    byteLength: 5,
  });
  for (const wrong of ["no.onnx", "broken", "sub"]) {
    await expectCode("MODEL_NOT_FOUND", () => guardModelFile(join(folder, wrong)));
  }
  await expectCode("MODEL_NOT_FOUND", () => guardModelFile("a\0b"));
});

Deno.test({
  name: "the guards put Deno's read permission in force",
  permissions: { read: [join(folder, "sub")] },
  fn: async () => {
    const error = await expectCode(
      "MODEL_READ_DENIED",
      () => guardModelFile(join(folder, "model.onnx")),
    );
    assert.match(error.fix, /--allow-read=\S+model\.onnx/);
    await expectCode(
      "MODEL_READ_DENIED",
      () => resolveWeightFiles(folder, [at("w.bin")]),
    );
    assert.equal(
      resolveWeightFiles(join(folder, "sub"), [at("w.bin")]).files.length,
      1,
    );
  },
});
