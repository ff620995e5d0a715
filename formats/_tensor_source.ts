// One file of tensors of any kind that serves as input: .npy, .npz, .safetensors or .json, told apart
// by its extension. It reads only the names that are wanted where the format allows that.

import { HooklineError } from "../errors/hookline_error.ts";
import type { DType } from "../tensor/dtype.ts";
import { emptyTensorMap, type Tensor, tensor } from "../tensor/tensor.ts";
import { fileFault, quoted } from "./_file_fault.ts";
import { readInputFile } from "./_input_file.ts";
import { decodeJsonTensors } from "./json_tensors.ts";
import { decodeNpy } from "./npy.ts";
import { decodeNpz } from "./npz.ts";
import { openSafetensors } from "./safetensors_file.ts";

/** What a file holds. */
export interface TensorSource {
  /** Every name in the file; null for a .npy file, whose one tensor has no name. */
  readonly names: readonly string[] | null;
  /** The tensors of `names` that were wanted, or the one tensor of a .npy file under `""`. */
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/**
 * Reads a file of tensors. `dtypes` gives the names that are wanted and the dtypes that the model
 * declares for them, which JSON needs. A file with one tensor alone gives it in any case.
 */
export async function readTensorSource(
  path: string,
  dtypes: Readonly<Record<string, DType>>,
): Promise<TensorSource> {
  const extension = /\.([A-Za-z0-9]+)$/.exec(path)?.[1]?.toLowerCase();
  switch (extension) {
    case "npy": {
      const tensors = emptyTensorMap();
      tensors[""] = decodeNpy(await readInputFile(path), path);
      return { names: null, tensors };
    }
    case "npz":
      return named(decodeNpz(await readInputFile(path), path));
    case "json":
      return named(decodeJsonTensors(await readInputFile(path), path, dtypes));
    case "safetensors": {
      await using file = await openSafetensors(path);
      const tensors = emptyTensorMap();
      for (const { name } of file.entries) {
        if (Object.hasOwn(dtypes, name) || file.entries.length === 1) {
          tensors[name] = await file.read(name);
        }
      }
      return { names: file.entries.map((entry) => entry.name), tensors };
    }
    default:
      throw fileFault("tensor", path, {
        found: extension === undefined
          ? "a name without an extension"
          : `the extension ${quoted(extension)}`,
        wanted: ".npy, .npz, .safetensors or .json",
        fix: "rename the file, or convert it to one of the four kinds",
      });
  }
}

function named(tensors: Readonly<Record<string, Tensor>>): TensorSource {
  return { names: Object.keys(tensors), tensors };
}

/**
 * The bit patterns that numpy files carry for types that numpy lacks, under their declared dtype.
 */
export function withDeclaredType(value: Tensor, dtype: DType): Tensor {
  const carries = (value.dtype === "uint8" && dtype.startsWith("float8")) ||
    (value.dtype === "uint16" && dtype === "bfloat16");
  return carries ? tensor(dtype, value.shape, value.data) : value;
}

/** True for a file whose types are numpy's. */
export function isNumpyFile(path: string): boolean {
  return /\.np[yz]$/i.test(path);
}

/** The tensor that a file given for one input alone holds for it. */
export async function readTensorFor(
  path: string,
  name: string,
  dtype: DType,
): Promise<Tensor> {
  const wanted: Record<string, DType> = Object.create(null);
  wanted[name] = dtype;
  const { names, tensors } = await readTensorSource(path, wanted);
  const only = names === null ? "" : names.length === 1 ? names[0] : undefined;
  const found = names?.includes(name) ? name : only;
  const value = found === undefined ? undefined : tensors[found];
  if (value === undefined) {
    throw new HooklineError("FEED_MISSING", {
      message: `cannot take input "${name}" from "${path}": it holds ${
        names?.length ?? 0
      } tensors and none of this name`,
      fix: "give a file with one tensor, or name the tensor like the input",
      details: { file: path, input: name, names: (names ?? []).slice(0, 20) },
    });
  }
  return isNumpyFile(path) ? withDeclaredType(value, dtype) : value;
}
