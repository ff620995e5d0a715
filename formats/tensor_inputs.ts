// From files to a model's inputs: which file serves which input. It checks names alone; whether dtype
// and shape suit the model is the feed check's business, which knows the dimensions.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { DType } from "../tensor/dtype.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../tensor/tensor.ts";
import { isFolder, listFolder } from "./_input_file.ts";
import {
  isNumpyFile,
  readTensorFor,
  readTensorSource,
  withDeclaredType,
} from "./_tensor_source.ts";

/** A declared input that is known to be a tensor. */
export interface DeclaredTensor extends DeclaredInput {
  readonly dtype: DType;
}

/**
 * The declared inputs as tensors.
 *
 * @throws {HooklineError} FEED_DTYPE when one is no tensor.
 */
export function declaredTensors(declared: readonly DeclaredInput[]): readonly DeclaredTensor[] {
  const other = declared.find((input) => input.dtype === null);
  if (other !== undefined) {
    throw new HooklineError("FEED_DTYPE", {
      message:
        `cannot read input "${other.name}": the model declares a sequence, an optional or a map`,
      fix: "change the model so that its inputs are tensors",
      details: { input: other.name },
    });
  }
  return declared as readonly DeclaredTensor[];
}

/** One input as the model declares it. */
export interface DeclaredInput {
  /** The value's name in the graph. */
  readonly name: string;
  /** Element type; null for a sequence, an optional or a map, which no file can hold. */
  readonly dtype: DType | null;
  /**
   * A number is a fixed dimension, a name a symbolic one; null, `""` or a negative number is a
   * dimension without a name. The whole is null when the model declares no shape.
   */
  readonly shape: readonly (number | string | null)[] | null;
  /** True when the model has a default for it (an initializer of the same name). */
  readonly optional?: boolean | undefined;
}

/**
 * Where inputs come from; where several serve one input, `files` wins over `file`, `file` over
 * `dir`.
 */
export interface InputSources {
  /** A folder with `NAME.npy` or `in.NAME.npy` for each input; other files in it are ignored. */
  readonly dir?: string | undefined;
  /**
   * One `.npz`, `.safetensors` or `.json` file with all inputs, or a `.npy` file for the only
   * input.
   */
  readonly file?: string | undefined;
  /** A file per input, by the input's name or its position (`"0"`). */
  readonly files?: Readonly<Record<string, string>> | undefined;
}

/**
 * Sorts one path, as `--inputs` gives it, into a folder or a file.
 *
 * @throws {HooklineError} FILE_READ when nothing is there.
 *
 * @example
 * ```ts
 * import { inputSource } from "@hookline/hookline";
 * console.log(Object.keys(await inputSource("."))); // [ "dir" ]
 * ```
 */
export async function inputSource(path: string): Promise<InputSources> {
  return await isFolder(path) ? { dir: path } : { file: path };
}

/**
 * Loads a model's inputs from files.
 *
 * In a folder an input takes the first of `NAME.npy`, `ENCODED.npy`, `in.NAME.npy`, `in.ENCODED.npy`
 * that is there, ENCODED being `encodeURIComponent(NAME)`; the plain name is not tried when it holds
 * `/`, `\` or NUL, which would leave the folder. In a `.npz`, `.safetensors` or `.json` file it takes
 * the tensor `NAME` or else `in.NAME`. The form with `in.` is not tried when the model has another
 * input of that very name. Anything else in a folder or file is ignored (in a `.json` file it must
 * say its own dtype, or it counts as a misspelt name), but a key of `files` must be an input: its
 * name, or else (digits alone) its position counted from 0. Optional inputs may be absent. No tensor
 * is cast; only the bit patterns that numpy files carry for `bfloat16` and the 8-bit floats get their
 * declared dtype.
 *
 * @param sources Where to look.
 * @param inputs The model's inputs in their order.
 * @returns The tensors in the order of `declared`; the object has no prototype.
 * @throws {HooklineError} FEED_MISSING listing every input that nothing serves and the names tried;
 * FEED_UNKNOWN when a key of `files` is no input (nearest names are given); OPTION_INVALID when two
 * keys of `files` mean one input, or `file` is a `.npy` file and the model has several inputs;
 * FILE_READ when a file cannot be read; FILE_FORMAT when one is damaged or of another kind.
 *
 * @example
 * ```ts
 * import { loadInputs } from "@hookline/hookline";
 * const declared = [{ name: "x", dtype: "float32", shape: [1, 3] }] as const;
 * const load = (dir: string) => loadInputs({ dir, files: { x: "other/x.npy" } }, declared);
 * console.log(typeof load); // function
 * ```
 */
export async function loadInputs(
  sources: InputSources,
  inputs: readonly DeclaredInput[],
): Promise<TensorMap> {
  const declared = declaredTensors(inputs);
  const single = resolveKeys(sources.files ?? {}, declared);
  const names = new Set(declared.map((input) => input.name));
  const open = declared.filter((input) => !single.has(input.name));
  const found = new Map<string, Tensor>();
  const tried = new Map<string, string[]>(open.map(({ name }) => [name, []]));
  const present = new Set<string>();
  if (sources.file !== undefined && open.length > 0) {
    await searchFile(sources.file, open, { names, found, tried, present });
  }
  const folderFiles = new Map<string, string>();
  if (sources.dir !== undefined && open.length > 0) {
    const listed = await listFolder(sources.dir);
    for (const input of open) {
      if (found.has(input.name)) continue;
      const candidates = fileNames(input.name, names);
      tried.get(input.name)?.push(...candidates);
      const file = candidates.find((candidate) => listed.has(candidate));
      if (file !== undefined) {
        folderFiles.set(input.name, `${sources.dir}/${file}`);
      }
    }
    for (const file of listed) if (file.endsWith(".npy")) present.add(file.slice(0, -4));
  }
  const missing = open.filter((input) =>
    input.optional !== true && !found.has(input.name) &&
    !folderFiles.has(input.name)
  );
  if (missing.length > 0) throw missingError(missing, tried, present);
  const result = emptyTensorMap();
  for (const { name, dtype } of declared) {
    const path = single.get(name) ?? folderFiles.get(name);
    const value = path === undefined ? found.get(name) : await readTensorFor(path, name, dtype);
    if (value !== undefined) result[name] = value;
  }
  return result;
}

/** The paths of `files` by input name. */
function resolveKeys(
  files: Readonly<Record<string, string>>,
  declared: readonly DeclaredInput[],
): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  const names = declared.map((input) => input.name);
  for (const [key, path] of Object.entries(files)) {
    const name = names.includes(key) ? key : /^\d+$/.test(key) ? names[Number(key)] : undefined;
    if (name === undefined) {
      const nearest = nearestNames(key, names);
      throw new HooklineError("FEED_UNKNOWN", {
        message:
          `cannot set input "${key}": the model has ${names.length} inputs and none of this name or position`,
        fix: nearest.length > 0
          ? `did you mean ${nearest.join(", ")}?`
          : `use one of ${names.slice(0, 20).join(", ") || "no input at all"}`,
        details: { input: key, nearest, inputs: names },
      });
    }
    if (paths.has(name)) {
      throw new HooklineError("OPTION_INVALID", {
        message: `cannot set input "${name}" twice: by its name and by its position`,
        fix: `give "${name}" one file`,
        details: { input: name },
      });
    }
    paths.set(name, path);
  }
  return paths;
}

interface Search {
  readonly names: ReadonlySet<string>;
  readonly found: Map<string, Tensor>;
  readonly tried: ReadonlyMap<string, string[]>;
  readonly present: Set<string>;
}

async function searchFile(
  path: string,
  open: readonly DeclaredTensor[],
  { names, found, tried, present }: Search,
): Promise<void> {
  const wanted: Record<string, DType> = Object.create(null);
  for (const { name, dtype } of open) {
    for (const key of tensorNames(name, names)) wanted[key] = dtype;
  }
  const source = await readTensorSource(path, wanted);
  if (source.names === null) {
    const required = open.filter((input) => input.optional !== true);
    const [only] = required.length > 0 ? required : open;
    if (only === undefined || required.length > 1) {
      throw new HooklineError("OPTION_INVALID", {
        message:
          `cannot take ${required.length} inputs from "${path}": a .npy file holds one tensor`,
        fix: "give each input its own file, as --input NAME=FILE.npy does",
        details: { file: path, inputs: required.map((input) => input.name) },
      });
    }
    const value = source.tensors[""];
    if (value !== undefined) {
      found.set(only.name, withDeclaredType(value, only.dtype));
    }
    return;
  }
  for (const name of source.names) present.add(name);
  for (const { name, dtype } of open) {
    for (const key of tensorNames(name, names)) {
      tried.get(name)?.push(key);
      if (!source.names.includes(key) || found.has(name)) continue;
      const value = source.tensors[key];
      if (value === undefined) continue;
      found.set(
        name,
        isNumpyFile(path) ? withDeclaredType(value, dtype) : value,
      );
    }
  }
}

function tensorNames(name: string, names: ReadonlySet<string>): string[] {
  return names.has(`in.${name}`) ? [name] : [name, `in.${name}`];
}

function fileNames(name: string, names: ReadonlySet<string>): string[] {
  const stems: string[] = [];
  if (!/[/\\\0]/.test(name)) stems.push(name);
  const encoded = encodeURIComponent(name.toWellFormed());
  if (encoded !== name) stems.push(encoded);
  const files = stems.map((stem) => `${stem}.npy`);
  return names.has(`in.${name}`) ? files : [...files, ...files.map((file) => `in.${file}`)];
}

function missingError(
  missing: readonly DeclaredInput[],
  tried: ReadonlyMap<string, readonly string[]>,
  present: ReadonlySet<string>,
): HooklineError {
  const parts = missing.map(({ name }) => {
    const names = tried.get(name) ?? [];
    return names.length === 0 ? `"${name}"` : `"${name}" (tried ${names.join(", ")})`;
  });
  const nearest = [
    ...new Set(missing.flatMap(({ name }) => nearestNames(name, present))),
  ];
  return new HooklineError("FEED_MISSING", {
    message: `cannot find the inputs ${parts.join("; ")}`,
    fix: nearest.length > 0
      ? `rename what is there (${
        nearest.slice(0, 6).join(", ")
      }), or set an input with --input NAME=FILE.npy`
      : "give --inputs a folder or file with these names, set one with --input NAME=FILE.npy, or make them up with --random SEED",
    details: {
      missing: missing.map((input) => input.name),
      tried: Object.fromEntries(
        missing.map(({ name }) => [name, [...(tried.get(name) ?? [])]]),
      ),
      nearest,
    },
  });
}
