import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { tensorDigest } from "../../formats/tensor_digest.ts";
import { float32, tensor } from "../../tensor/tensor.ts";
import { readFixture } from "../support/fixture_path.ts";
import { decodeNpy } from "../../formats/npy.ts";
import { thrown } from "./_damage.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

Deno.test("tensorDigest() is the SHA-256 of the data that a .npy file holds", () => {
  const file = readFixture("torch", "unet", "in.x.npy");
  assert.equal(tensorDigest(decodeNpy(file, "x")), sha256(file.subarray(128)));
});

Deno.test("tensorDigest() knows bits: 0 is not -0, and a view counts by its own elements", () => {
  assert.notEqual(tensorDigest(float32([1], [0])), tensorDigest(float32([1], [-0])));
  const view = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
  assert.equal(tensorDigest(float32([2], view)), tensorDigest(float32([2], [1, 2])));
});

Deno.test("tensorDigest() keeps strings apart by their lengths", () => {
  const digest = (...data: string[]) => tensorDigest(tensor("string", [data.length], data));
  assert.notEqual(digest("ab", "c"), digest("a", "bc"));
  assert.notEqual(digest(""), digest());
  const bytes = Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa4);
  assert.equal(digest("ä"), sha256(bytes));
});

Deno.test("tensorDigest() refuses a tensor whose data do not fit", () => {
  const broken = { dtype: "float32", shape: [2], data: new Float32Array(1) } as const;
  thrown(() => tensorDigest(broken), "FEED_DATA");
});
