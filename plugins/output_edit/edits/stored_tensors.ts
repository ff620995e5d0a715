// How a tensor is kept in an edit document: inline as base64 of its little-endian elements, or by
// reference to a file. Either way with the sha256 of its elements, so that a changed file is noticed
// and a replay has the same bits.

import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import {
  decodeNpy,
  decodeNpz,
  type DType,
  elementCount,
  type HooklineError,
  type JsonValue,
  openSafetensors,
  type Tensor,
  tensor,
  type TensorData,
  tensorDigest,
} from "../../../mod.ts";
import { fault, listText } from "../_fault.ts";

/** Where a document's tensors go. */
export interface TensorWriter {
  /** What stands for the tensor in the JSON. */
  write(value: Tensor): JsonValue;
}

/** Where a document's tensors come from. */
export interface TensorReader {
  /** The tensor that a JSON value stands for; `where` names it in errors. */
  read(json: JsonValue, where: string): Tensor;
}

/** A tensor that was read from a file and is saved as a reference to it. */
export interface FileTensor extends Tensor {
  /** The file's absolute path. */
  readonly file: string;
  /** The tensor's name in it; null in a `.npy` file. */
  readonly tensorName: string | null;
}

/** Keeps tensors as they are: for checking that arguments survive, without encoding them. */
export class MemoryTensors implements TensorWriter, TensorReader {
  readonly #kept: Tensor[] = [];

  /** Keeps the tensor and returns its number. */
  write(value: Tensor): JsonValue {
    return { memory: this.#kept.push(value) - 1 };
  }

  /** The tensor of a number. */
  read(json: JsonValue, where: string): Tensor {
    const found = this.#kept[(json as { memory?: number } | null)?.memory ?? -1];
    if (found === undefined) throw notATensor(where);
    return found;
  }
}

const ARRAYS: Readonly<Partial<Record<DType, { from(buffer: ArrayBuffer): TensorData }>>> = {
  float32: { from: (buffer) => new Float32Array(buffer) },
  float64: { from: (buffer) => new Float64Array(buffer) },
  float16: {
    from: (buffer) =>
      typeof Float16Array === "function" ? new Float16Array(buffer) : new Uint16Array(buffer),
  },
  bfloat16: { from: (buffer) => new Uint16Array(buffer) },
  uint8: { from: (buffer) => new Uint8Array(buffer) },
  bool: { from: (buffer) => new Uint8Array(buffer) },
  int8: { from: (buffer) => new Int8Array(buffer) },
  uint16: { from: (buffer) => new Uint16Array(buffer) },
  int16: { from: (buffer) => new Int16Array(buffer) },
  uint32: { from: (buffer) => new Uint32Array(buffer) },
  int32: { from: (buffer) => new Int32Array(buffer) },
  uint64: { from: (buffer) => new BigUint64Array(buffer) },
  int64: { from: (buffer) => new BigInt64Array(buffer) },
  float8e4m3fn: { from: (buffer) => new Uint8Array(buffer) },
  float8e4m3fnuz: { from: (buffer) => new Uint8Array(buffer) },
  float8e5m2: { from: (buffer) => new Uint8Array(buffer) },
  float8e5m2fnuz: { from: (buffer) => new Uint8Array(buffer) },
};

/**
 * A tensor of raw little-endian elements.
 *
 * @throws {HooklineError} FILE_FORMAT when the bytes do not fit the dtype and shape.
 */
export function tensorFromBytes(
  { dtype, shape }: { readonly dtype: DType; readonly shape: readonly number[] },
  bytes: Uint8Array,
  where: string,
): Tensor {
  const array = ARRAYS[dtype];
  try {
    if (array === undefined) throw new RangeError(`the dtype ${dtype} has no array`);
    return tensor(dtype, shape, array.from(new Uint8Array(bytes).buffer));
  } catch (cause) {
    throw fault("FILE_FORMAT", {
      message: `cannot read ${where}: ${bytes.length} bytes do not make a ${dtype} tensor of ${
        elementCount(shape)
      } elements`,
      fix: "save the document again",
      cause,
    });
  }
}

/** Writes tensors inline. */
export const INLINE_TENSORS: TensorWriter = Object.freeze({
  write(value: Tensor): JsonValue {
    if (!ArrayBuffer.isView(value.data) || ARRAYS[value.dtype] === undefined) {
      throw fault("TENSOR_DTYPE", {
        message: `cannot save a ${value.dtype} tensor in an edit document`,
        fix: "use a dtype with fixed-size elements",
        details: { dtype: value.dtype },
      });
    }
    const { buffer, byteOffset, byteLength } = value.data;
    return {
      dtype: value.dtype,
      shape: [...value.shape],
      base64: Buffer.from(buffer, byteOffset, byteLength).toString("base64"),
      sha256: tensorDigest(value),
    };
  },
});

/**
 * Reads a tensor of a `.npy`, `.npz` or `.safetensors` file to be used in edits. Saved edits refer to
 * the file instead of repeating it, as far as it lies beside or below the document.
 *
 * @throws {HooklineError} FILE_READ or FILE_FORMAT when it cannot be read; OPTION_INVALID when the file
 * has several tensors and `name` is none of them, or is of another kind.
 */
export async function readFileTensor(path: string, name?: string): Promise<FileTensor> {
  const file = resolve(path);
  const extension = /\.[a-z]+$/i.exec(file)?.[0].toLowerCase();
  if (extension === ".safetensors") {
    await using opened = await openSafetensors(file);
    const chosen = chooseName(opened.entries.map((entry) => entry.name), name, path);
    return fileTensor(await opened.read(chosen), file, chosen);
  }
  if (extension === ".npz") {
    const tensors = decodeNpz(await readBytes(file), path);
    const chosen = chooseName(Object.keys(tensors), name, path);
    return fileTensor(tensors[chosen] as Tensor, file, chosen);
  }
  if (extension === ".npy") return fileTensor(decodeNpy(await readBytes(file), path), file, null);
  throw fault("OPTION_INVALID", {
    message: `cannot read a tensor from "${path}": wanted is a .npy, .npz or .safetensors file`,
    fix: "convert the file, or rename it",
    details: { file: path },
  });
}

function fileTensor(value: Tensor, file: string, tensorName: string | null): FileTensor {
  const { dtype, shape, data } = value;
  return Object.freeze({ dtype, shape, data, file, tensorName });
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw fault("FILE_READ", {
      message: `cannot read "${path}": ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "check the path and the process's read permission",
      details: { file: path },
      cause,
    });
  }
}

function chooseName(names: readonly string[], wanted: string | undefined, path: string): string {
  const chosen = wanted ?? (names.length === 1 ? names[0] : undefined);
  if (chosen !== undefined && names.includes(chosen)) return chosen;
  throw fault("OPTION_INVALID", {
    message: chosen === undefined
      ? `cannot choose a tensor of "${path}": it holds ${names.length}`
      : `cannot read tensor "${chosen}" of "${path}": it holds none of this name`,
    fix: `name one of its tensors: ${listText(names.slice(0, 20))}`,
    details: { file: path, names: names.slice(0, 20) },
  });
}

/** True for a tensor that knows its file. */
export function isFileTensor(value: Tensor): value is FileTensor {
  return typeof (value as Partial<FileTensor>).file === "string";
}

/** The path of a file relative to a folder with `/` between names; null when it lies outside. */
export function pathInside(folder: string, file: string): string | null {
  const path = relative(resolve(folder), resolve(file));
  return path === "" || path.startsWith("..") || isAbsolute(path)
    ? null
    : path.split(sep).join("/");
}

/** What a tensor in a document says of itself. */
interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly sha256: string;
  readonly base64?: string;
  readonly file?: string;
  readonly tensor?: string;
}

const STORED_KEYS = ["dtype", "shape", "sha256", "base64", "file", "tensor"];

function isStored(json: JsonValue): json is JsonValue & StoredTensor {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return false;
  const { dtype, shape, sha256, base64, file, tensor } = json as Record<string, JsonValue>;
  const isSized = (size: JsonValue) => Number.isSafeInteger(size) && (size as number) >= 0;
  return Object.keys(json).every((key) => STORED_KEYS.includes(key)) &&
    typeof dtype === "string" && Array.isArray(shape) && shape.every(isSized) &&
    typeof sha256 === "string" && (typeof base64 === "string") !== (typeof file === "string") &&
    (tensor === undefined || (typeof tensor === "string" && file !== undefined));
}

/** Every reference to a file in a document, wherever it stands. */
function fileReferences(json: JsonValue): StoredTensor[] {
  if (isStored(json)) return json.file === undefined ? [] : [json];
  if (Array.isArray(json)) return json.flatMap(fileReferences);
  return typeof json === "object" && json !== null
    ? Object.values(json).flatMap(fileReferences)
    : [];
}

/**
 * Reads the files that a document refers to, and gives the reader of its tensors.
 *
 * @throws {HooklineError} OPTION_INVALID when a reference leaves the folder or there is none;
 * FILE_READ, FILE_FORMAT.
 */
export async function documentTensors(
  document: JsonValue,
  folder: string | null,
): Promise<TensorReader> {
  const files = new Map<string, FileTensor>();
  for (const { file = "", tensor: name } of fileReferences(document)) {
    const key = JSON.stringify([file, name]);
    if (files.has(key)) continue;
    if (folder === null || isAbsolute(file) || pathInside(folder, join(folder, file)) === null) {
      throw fault("OPTION_INVALID", {
        message: `cannot read the tensor file "${file}" of an edit document: ${
          folder === null ? "the document's folder is not known" : "it lies outside its folder"
        }`,
        fix: folder === null
          ? "read the document with loadEdits, or give { folder }"
          : "save the document again, or move the file beside it",
        details: { file },
      });
    }
    files.set(key, await readFileTensor(join(folder, file), name));
  }
  return {
    read(json, where) {
      if (!isStored(json)) throw notATensor(where);
      const found = json.file === undefined
        ? tensorFromBytes(json, Buffer.from(json.base64 ?? "", "base64"), where)
        : files.get(JSON.stringify([json.file, json.tensor]));
      if (found === undefined) throw notATensor(where);
      checkStored(found, json, where);
      return found;
    },
  };
}

function checkStored(found: Tensor, stored: StoredTensor, where: string): void {
  const isSame = found.dtype === stored.dtype &&
    JSON.stringify(found.shape) === JSON.stringify(stored.shape) &&
    tensorDigest(found) === stored.sha256;
  if (isSame) return;
  throw fault("FILE_FORMAT", {
    message: `cannot use ${where}: ${
      stored.file === undefined ? "its base64" : `"${stored.file}"`
    } holds another tensor than the document says`,
    fix: "bring back the file that the edits were saved with, or save the edits again",
    details: { sha256: stored.sha256, file: stored.file ?? null },
  });
}

function notATensor(where: string): HooklineError {
  return fault("OPTION_INVALID", {
    message: `cannot read ${where}: it is no tensor`,
    fix: "give { dtype, shape, sha256, base64 } or { dtype, shape, sha256, file, tensor }",
  });
}
