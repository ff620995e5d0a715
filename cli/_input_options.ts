// The options that say where a model's inputs come from, and the loading itself: files first, made-up
// values for what no file serves.

import { type CommandUnknownOpts, Option, type OptionValues } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { randomInputs } from "../formats/random_inputs.ts";
import { type DeclaredInput, inputSource, loadInputs } from "../formats/tensor_inputs.ts";
import type { ValueSpec } from "../sessions/engine.ts";
import { emptyTensorMap, type TensorMap } from "../tensor/tensor.ts";
import { collect, numberOf } from "./_model_options.ts";
import { specText } from "./_units.ts";

/** Where the inputs come from. */
export interface InputChoice {
  /** --inputs: a folder or a file with all of them. */
  readonly inputs?: string;
  /** --input: `NAME=FILE`, each. */
  readonly input?: readonly string[];
  /** --random: the seed. */
  readonly random?: number;
  /** --dim: `NAME=VALUE`, each. */
  readonly dim?: readonly string[];
}

/** Adds --inputs, --input, --random and --dim. */
export function addInputOptions(command: CommandUnknownOpts): CommandUnknownOpts {
  return command
    .option(
      "--inputs <path>",
      "a folder with NAME.npy or in.NAME.npy for each input, or one .npz, .safetensors or .json file",
    )
    .addOption(
      new Option("--input <NAME=FILE>", "a file for one input, by name or position; repeatable")
        .argParser(collect),
    )
    .addOption(
      new Option("--random <seed>", "make up the inputs that no file gives").argParser(numberOf),
    )
    .addOption(
      new Option("--dim <NAME=SIZE>", "size of a symbolic dimension of made-up inputs; repeatable")
        .argParser(collect),
    );
}

/** The options of {@linkcode addInputOptions}. */
export function readInputChoice(values: OptionValues): InputChoice {
  const { inputs, input, random, dim } = values as InputChoice;
  return {
    ...(inputs === undefined ? {} : { inputs }),
    ...(input === undefined ? {} : { input }),
    ...(random === undefined ? {} : { random }),
    ...(dim === undefined ? {} : { dim }),
  };
}

/**
 * Loads or makes up a model's inputs.
 *
 * @throws {HooklineError} FEED_MISSING when nothing says where they come from; CLI_USAGE when options
 * contradict one another; what loadInputs and randomInputs throw.
 */
export async function chosenInputs(
  choice: InputChoice,
  inputs: readonly ValueSpec[],
): Promise<TensorMap> {
  const { random } = choice;
  const files = choice.input ?? [];
  const dims = readDims(choice.dim ?? []);
  if (random === undefined && Object.keys(dims).length > 0) {
    throw usage("--dim without --random", "add --random SEED, or leave --dim out");
  }
  if (random !== undefined && choice.inputs !== undefined) {
    throw usage(
      "--inputs together with --random",
      "give one of them; --input NAME=FILE goes with both",
    );
  }
  const isGiven = random !== undefined || choice.inputs !== undefined || files.length > 0;
  if (!isGiven && inputs.length > 0) throw nothingGiven(inputs);
  const declared = declaredInputs(inputs);
  const paths = readFiles(files, declared);
  if (random === undefined) {
    const all = choice.inputs === undefined ? {} : await inputSource(choice.inputs);
    return await loadInputs({ ...all, files: paths }, declared);
  }
  const optional = declared.map((input) => ({ ...input, optional: true }));
  const loaded = await loadInputs({ files: paths }, optional);
  const open = declared.filter(({ name }) => loaded[name] === undefined);
  const made = randomInputs(random, open, dims);
  const result = emptyTensorMap();
  for (const { name } of declared) {
    const value = loaded[name] ?? made[name];
    if (value !== undefined) result[name] = value;
  }
  return result;
}

function declaredInputs(inputs: readonly ValueSpec[]): DeclaredInput[] {
  return inputs.map(({ name, isTensor, dtype, shape }) => {
    if (isTensor && dtype !== null) return { name, dtype, shape };
    throw new HooklineError("MODEL_UNSUPPORTED", {
      message: `cannot feed input "${name}": it is a sequence, an optional or a map`,
      fix: "change the model so that its inputs are tensors",
      details: { input: name },
    });
  });
}

function readDims(texts: readonly string[]): Record<string, number> {
  const dims: Record<string, number> = Object.create(null);
  for (const text of texts) {
    const at = text.lastIndexOf("=");
    const size = text.slice(at + 1).trim();
    if (at < 1 || !/^\d{1,15}$/.test(size)) {
      throw usage(
        `--dim "${text}"`,
        "write --dim NAME=SIZE with a whole number, as in --dim batch=2",
      );
    }
    dims[text.slice(0, at)] = Number(size);
  }
  return dims;
}

/** Names and files may both hold `=`: the first split whose left side is an input is meant. */
function readFiles(
  texts: readonly string[],
  declared: readonly DeclaredInput[],
): Record<string, string> {
  const files: Record<string, string> = Object.create(null);
  const names = new Set(declared.map(({ name }) => name));
  for (const text of texts) {
    const splits = [...text.matchAll(/=/g)].map(({ index }) => index).filter((index) => index > 0);
    const at = splits.find((index) => names.has(text.slice(0, index))) ?? splits[0];
    if (at === undefined || at === text.length - 1) {
      throw usage(`--input "${text}"`, "write --input NAME=FILE, as in --input x=x.npy");
    }
    const name = text.slice(0, at);
    if (Object.hasOwn(files, name)) {
      throw usage(`--input "${name}" twice`, "give each input one file");
    }
    files[name] = text.slice(at + 1);
  }
  return files;
}

function usage(what: string, fix: string): HooklineError {
  return new HooklineError("CLI_USAGE", { message: `cannot use ${what}`, fix });
}

function nothingGiven(inputs: readonly ValueSpec[]): HooklineError {
  const dims = new Set(
    inputs.flatMap(({ name, shape }) =>
      (shape ?? []).flatMap((size, axis) =>
        typeof size === "number" ? [] : [size === null ? `${name}[${axis}]` : size]
      )
    ),
  );
  const sizes = [...dims].map((dim) => ` --dim ${dim}=SIZE`).join("");
  return new HooklineError("FEED_MISSING", {
    message: `no inputs were given; the model wants ${inputs.map(specText).join(", ")}`,
    fix:
      `give --inputs DIR|FILE, or --input NAME=FILE for each, or make them up with --random SEED${sizes}`,
    details: {
      missing: inputs.map(({ name }) => name),
      inputs: inputs.map(({ name, dtype, shape }) => ({
        name,
        dtype,
        shape: shape === null ? null : [...shape],
      })),
      dims: [...dims],
    },
  });
}
