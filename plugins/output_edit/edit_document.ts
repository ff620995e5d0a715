// Hook functions as a JSON document: module, type, which tensor, groups, and the edit with all its
// arguments. What is read back does the same bits, or is refused.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { encodeSafetensors, type JsonValue, type Tensor, tensorDigest } from "../../mod.ts";
import { fault } from "./_fault.ts";
import type { EditKinds, JsonObject } from "./edits/edit_kind.ts";
import { editKinds } from "./edits/built_in_edits.ts";
import {
  documentTensors,
  INLINE_TENSORS,
  isFileTensor,
  pathInside,
  type TensorWriter,
} from "./edits/stored_tensors.ts";
import { type CaptureWhen, checkHookType, HookFunction, type HookType } from "./hook_function.ts";
import type { OutputEditor } from "./output_editor.ts";

const FORMAT = "hookline-edits";
const VERSION = 1;

/** A hook function with how it is registered. */
export interface EditEntry {
  /** The hook function. */
  readonly hook: HookFunction;
  /** When it runs. */
  readonly type: HookType;
  /** Its groups beside `all`. */
  readonly groups: readonly string[];
}

/** What a document holds, read and checked. */
export interface EditSet {
  /** The hook functions in order. */
  readonly entries: readonly EditEntry[];
  /** Groups that are switched off. */
  readonly off: readonly string[];
}

/** Options of {@linkcode parseEdits}. */
export interface ParseEditsOptions {
  /** The known kinds; the built-in ones when left out. */
  readonly kinds?: EditKinds;
  /** The folder that references to files start from; none when left out, which refuses them. */
  readonly folder?: string;
}

/** Options of {@linkcode saveEdits}. */
export interface SaveEditsOptions {
  /**
   * Where tensors go: `"inline"` (the default) into the document as base64, `"file"` into one
   * `.safetensors` file beside it. Tensors of `readFileTensor` whose file lies beside or below the
   * document are referred to in both cases.
   */
  readonly tensors?: "inline" | "file";
}

/**
 * The editor's hook functions as JSON, every tensor inline.
 *
 * @throws {HooklineError} OPTION_INVALID when an editing function is code, which no document can hold.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * import {
 *   HookFunction,
 *   OutputEditor,
 *   parseEdits,
 *   scale,
 *   serialiseEdits,
 * } from "@hookline/hookline/plugins/output-edit";
 * await using model = await openModel("bert.onnx");
 * using editor = new OutputEditor(model);
 * editor.register(new HookFunction("encoder.layer.1", { editingFunction: scale(0.5) }));
 * const { entries } = await parseEdits(serialiseEdits(editor));
 * console.log(entries[0]?.hook.moduleName, entries[0]?.hook.edit?.kind); // encoder.layer.1 scale
 * ```
 */
export function serialiseEdits(editor: OutputEditor): JsonObject {
  return documentOf(editor, INLINE_TENSORS);
}

function documentOf(editor: OutputEditor, tensors: TensorWriter): JsonObject {
  return {
    format: FORMAT,
    version: VERSION,
    off: [...editor.groupsOff],
    edits: editor.registrations.map(({ hook, type, groups }) => ({
      module: hook.moduleName,
      type,
      unpackIdx: hook.unpackIdx,
      expectedShape: hook.expectedShape === null ? null : [...hook.expectedShape],
      changesShape: hook.changesShape,
      readsInputs: hook.readsInputs,
      capture: hook.capture,
      groups: groups.filter((group) => group !== "all"),
      edit: editOf(hook, tensors),
    })),
  };
}

function editOf(hook: HookFunction, tensors: TensorWriter): JsonValue {
  if (hook.edit !== null) return hook.edit.serialise(tensors);
  if (hook.editingFunction === null) return null;
  throw fault("OPTION_INVALID", {
    message: `cannot save the hook function of "${hook.moduleName}": its editing function is code`,
    fix: "use an edit such as scale(0.5), or make your own kind with makeEdit",
    details: { module: hook.moduleName },
  });
}

/**
 * Reads a document: its text, or its JSON.
 *
 * @throws {HooklineError} OPTION_INVALID when a field is missing, unknown or of another form, a kind is
 * unknown, or a reference leaves the folder; FILE_FORMAT when the text is no JSON or a tensor is not
 * the one that was saved; FILE_READ.
 */
export async function parseEdits(
  document: string | JsonObject,
  { kinds = editKinds(), folder }: ParseEditsOptions = {},
): Promise<EditSet> {
  const json = typeof document === "string" ? parseText(document) : document;
  if (json["format"] !== FORMAT || json["version"] !== VERSION) {
    throw malformed("it is no document of hookline-edits, version 1", "save the edits again");
  }
  requireKeys(json, ["format", "version", "off", "edits"], "the document");
  const tensors = await documentTensors(json, folder ?? null);
  const entries = listOf(json["edits"], "edits").map((entry, at): EditEntry => {
    const where = `edit ${at}`;
    const fields = objectOf(entry, where);
    requireKeys(fields, FIELDS, where);
    const { module, type, groups } = fields;
    if (typeof module !== "string") throw malformed(`${where} has no module`, "name its module");
    const edit = fields["edit"];
    return {
      hook: new HookFunction(module, {
        ...options(fields, where),
        ...(edit === null || edit === undefined
          ? {}
          : { editingFunction: kinds.parse(objectOf(edit, where), tensors) }),
      }),
      type: checkHookType(type ?? "forward"),
      groups: groups === undefined ? [] : textsOf(groups, `${where} groups`),
    };
  });
  return { entries, off: json["off"] === undefined ? [] : textsOf(json["off"], "off") };
}

const FIELDS: readonly string[] = [
  "module",
  "type",
  "unpackIdx",
  "expectedShape",
  "changesShape",
  "readsInputs",
  "capture",
  "groups",
  "edit",
];

function options(fields: JsonObject, where: string): {
  expectedShape?: readonly (number | null)[] | null;
  unpackIdx?: number | string;
  changesShape?: boolean;
  readsInputs?: boolean;
  capture?: CaptureWhen;
} {
  const { unpackIdx, expectedShape, changesShape, readsInputs, capture } = fields;
  const isFlag = (value: JsonValue | undefined) =>
    value === undefined || typeof value === "boolean";
  const isShape = expectedShape === undefined || expectedShape === null ||
    (Array.isArray(expectedShape) &&
      expectedShape.every((size) => size === null || typeof size === "number"));
  const isIndex = unpackIdx === undefined || typeof unpackIdx === "number" ||
    typeof unpackIdx === "string";
  if (!isFlag(changesShape) || !isFlag(readsInputs) || !isShape || !isIndex) {
    throw malformed(`${where} has an option of another form`, "write it as saveEdits does");
  }
  return {
    ...(unpackIdx === undefined ? {} : { unpackIdx: unpackIdx as number | string }),
    ...(expectedShape === undefined
      ? {}
      : { expectedShape: expectedShape as (number | null)[] | null }),
    ...(changesShape === undefined ? {} : { changesShape: changesShape as boolean }),
    ...(readsInputs === undefined ? {} : { readsInputs: readsInputs as boolean }),
    ...(capture === undefined || capture === null ? {} : { capture: capture as CaptureWhen }),
  };
}

/**
 * Registers what a document held: every hook function in its order and groups, all or none.
 *
 * @throws {HooklineError} what `OutputEditor.register` throws.
 */
export function replayEdits(editor: OutputEditor, edits: EditSet): void {
  editor.registerAll(edits.entries, { off: edits.off });
}

/**
 * Writes the editor's hook functions to a JSON file, and their tensors into it or beside it.
 *
 * @throws {HooklineError} OPTION_INVALID when an editing function is code; FILE_WRITE.
 */
export async function saveEdits(
  path: string,
  editor: OutputEditor,
  { tensors: where = "inline" }: SaveEditsOptions = {},
): Promise<void> {
  const file = resolve(path);
  const folder = dirname(file);
  const sidecar = `${basename(file)}.safetensors`;
  const kept: Record<string, Tensor> = {};
  const document = documentOf(editor, {
    write(value) {
      const { dtype, shape } = value;
      const described = { dtype, shape: [...shape], sha256: tensorDigest(value) };
      if (isFileTensor(value)) {
        const reference = pathInside(folder, value.file);
        if (reference !== null) {
          return {
            ...described,
            file: reference,
            ...(value.tensorName === null ? {} : { tensor: value.tensorName }),
          };
        }
      }
      if (where === "inline") return INLINE_TENSORS.write(value);
      // Equal tensors are kept once.
      const name = `${dtype}-${shape.join("x")}-${described.sha256}`;
      kept[name] = value;
      return { ...described, file: sidecar, tensor: name };
    },
  });
  try {
    await mkdir(folder, { recursive: true });
    if (Object.keys(kept).length > 0) {
      await writeFile(`${file}.safetensors`, encodeSafetensors(kept));
    }
    await writeFile(file, `${JSON.stringify(document, null, 2)}\n`);
  } catch (cause) {
    throw fault("FILE_WRITE", {
      message: `cannot write "${path}": ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "check the folder and the process's write permission",
      details: { file: path },
      cause,
    });
  }
}

/**
 * Reads a file that {@linkcode saveEdits} wrote.
 *
 * @throws {HooklineError} FILE_READ, and what {@linkcode parseEdits} throws.
 */
export async function loadEdits(
  path: string,
  { kinds }: Pick<ParseEditsOptions, "kinds"> = {},
): Promise<EditSet> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw fault("FILE_READ", {
      message: `cannot read "${path}": ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "check the path and the process's read permission",
      details: { file: path },
      cause,
    });
  }
  return await parseEdits(text, {
    folder: dirname(resolve(path)),
    ...(kinds === undefined ? {} : { kinds }),
  });
}

function parseText(text: string): JsonObject {
  try {
    return objectOf(JSON.parse(text), "the document");
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw fault("FILE_FORMAT", {
      message: `cannot read an edit document: ${cause.message}`,
      fix: "save the edits again",
      cause,
    });
  }
}

function malformed(found: string, fix: string): Error {
  return fault("OPTION_INVALID", { message: `cannot read an edit document: ${found}`, fix });
}

function objectOf(json: JsonValue | undefined, where: string): JsonObject {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as JsonObject;
  throw malformed(`${where} is no object`, "write it as saveEdits does");
}

function listOf(json: JsonValue | undefined, where: string): readonly JsonValue[] {
  if (Array.isArray(json)) return json;
  throw malformed(`"${where}" is no list`, "write it as saveEdits does");
}

function textsOf(json: JsonValue, where: string): readonly string[] {
  const list = listOf(json, where);
  if (list.every((item) => typeof item === "string")) return list as string[];
  throw malformed(`"${where}" holds something that is no text`, "write it as saveEdits does");
}

function requireKeys(json: JsonObject, known: readonly string[], where: string): void {
  const unknown = Object.keys(json).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  throw malformed(
    `${where} has the unknown field ${unknown.map((key) => `"${key}"`).join(", ")}`,
    `use ${known.join(", ")}`,
  );
}
