// The digest of one call of a module: what its nodes are and every element of its weights, wherever they
// lie. Weights are read in pieces and never held. Two files of one network have the same digest for a
// module as long as its values, nodes and weights are called alike and hold the same.

import { createHash, type Hash } from "node:crypto";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type TensorProto } from "onnx-buf";
import { type ByteSource, fileSource } from "../../graph/byte_source.ts";
import { externalReferenceOf } from "../../graph/skeleton.ts";
import { walkTensors } from "../../graph/walk_tensors.ts";
import type { PartModel } from "../compare/part_run.ts";

const CHUNK_BYTES = 4_194_304;

/**
 * sha256 of an encoded part, its weights included, in hex.
 *
 * @throws {HooklineError} MODEL_NOT_FOUND, MODEL_READ_DENIED or MODEL_TRUNCATED when a weight file cannot
 * be read to the end.
 */
export function moduleDigest(part: Pick<PartModel, "bytes" | "weightFolder">): string {
  const model = fromBinary(ModelProtoSchema, part.bytes);
  const hash = createHash("sha256");
  const files = new Map<string, ByteSource>();
  try {
    for (const tensor of walkTensors(model)) {
      const reference = externalReferenceOf(tensor);
      if (reference === null) continue;
      const path = join(part.weightFolder ?? "", reference.location);
      const file = files.get(path) ?? fileSource(path);
      files.set(path, file);
      const byteLength = reference.byteLength ?? file.byteLength - reference.byteOffset;
      addElements(hash, file, { start: reference.byteOffset, byteLength });
      forget(tensor);
    }
  } finally {
    for (const file of files.values()) file[Symbol.dispose]();
  }
  return hash.update(toBinary(ModelProtoSchema, model)).digest("hex");
}

function addElements(
  hash: Hash,
  file: ByteSource,
  { start, byteLength }: { readonly start: number; readonly byteLength: number },
): void {
  for (let done = 0; done < byteLength; done += CHUNK_BYTES) {
    hash.update(file.read(start + done, Math.min(CHUNK_BYTES, byteLength - done)));
  }
}

/** Where the elements lie does not count. */
function forget(tensor: TensorProto): void {
  tensor.dataLocation = 0;
  tensor.externalData = [];
}
