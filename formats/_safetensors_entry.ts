// From the bytes of one .safetensors entry to its tensor: what the in-memory decoder and the streaming
// reader do alike.

import { elementCount, type Tensor, tensor } from "../tensor/tensor.ts";
import { fileFault, quoted } from "./_file_fault.ts";
import { areBools, decodeElements } from "./_raw_elements.ts";
import type { SafetensorsEntry } from "./_safetensors_header.ts";

/** The tensor of one entry from exactly its bytes, copied. */
export function decodeSafetensorsEntry(
  entry: SafetensorsEntry,
  bytes: Uint8Array,
  label: string,
): Tensor {
  if (entry.dtype === null) {
    throw fileFault("safetensors", label, {
      found: `tensor ${quoted(entry.name)} of type ${entry.storedType}`,
      wanted: "a type that JavaScript can hold",
      fix: "cast the tensor before saving it, or remove it from the file",
      details: { tensor: entry.name },
    });
  }
  if (entry.dtype === "bool" && !areBools(bytes)) {
    throw fileFault("safetensors", label, {
      found: `a bool byte in ${quoted(entry.name)} that is neither 0 nor 1`,
      wanted: "0 or 1",
      fix: "save the tensor again as bool",
      details: { tensor: entry.name },
    });
  }
  return tensor(
    entry.dtype,
    entry.shape,
    decodeElements(entry.dtype, elementCount(entry.shape), bytes),
  );
}
