// Looks at every file that ONNX Runtime is about to open. Native code is outside Deno's permissions, and
// a model may name any file as its weights: so each one is resolved, must lie inside the model's folder,
// must be readable by this very process (which puts Deno's read permission in force), and must be long
// enough. Two limits remain: a hard link into the folder cannot be told from a file, and whoever may
// write to the folder can swap a file between this look and ONNX Runtime's.

import { closeSync, openSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import type { ErrorCode } from "../errors/codes.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { isReadDenied } from "./_file_errors.ts";

/** One weight that lies outside the model's own bytes. */
export interface WeightReference {
  /** The file as the model names it, relative to the model's folder. */
  readonly location: string;
  /** Where the weight begins in the file. */
  readonly byteOffset: number;
  /** Its length; null for "to the end of the file". */
  readonly byteLength: number | null;
}

/** A weight file that was looked at. */
export interface WeightFile {
  /** The name that the model uses. */
  readonly location: string;
  /** Where the file really lies. */
  readonly path: string;
  /** Its size. */
  readonly byteLength: number;
}

/** What {@linkcode resolveWeightFiles} found. */
export interface WeightFiles {
  /** The folder with links resolved: what ONNX Runtime is to get. */
  readonly folder: string;
  /** One entry for each different location, in the order of first use. */
  readonly files: readonly WeightFile[];
}

/** A model file that was looked at. */
export interface ModelFile {
  /** The absolute path as it was asked for. */
  readonly path: string;
  /** Where the file really lies. */
  readonly realPath: string;
  /** The folder against which the model's external weights resolve: that of `path`. */
  readonly folder: string;
  /** Its size. */
  readonly byteLength: number;
}

function readDenied(path: string, cause: unknown): HooklineError {
  return new HooklineError("MODEL_READ_DENIED", {
    message: `cannot read "${path}": this process may not`,
    fix: `grant it: --allow-read=${path} in Deno, or the file system's own rights`,
    details: { path },
    cause,
  });
}

/** Resolves and opens a file; whatever is wrong with it is thrown as `missing` or MODEL_READ_DENIED. */
function lookAt(
  path: string,
  missing: (why: string, cause?: unknown) => HooklineError,
): { realPath: string; byteLength: number } {
  try {
    // stat before open: opening a named pipe would wait for a writer
    const stat = statSync(path);
    if (!stat.isFile()) throw missing("it is not a file");
    const realPath = realpathSync(path);
    closeSync(openSync(path, "r"));
    return { realPath, byteLength: stat.size };
  } catch (error) {
    if (error instanceof HooklineError) throw error;
    if (isReadDenied(error)) throw readDenied(path, error);
    throw missing("it does not exist", error);
  }
}

/**
 * Looks at a model file before ONNX Runtime opens it.
 *
 * @throws {HooklineError} MODEL_NOT_FOUND when there is no file; MODEL_READ_DENIED when this process may
 * not read it.
 */
export function guardModelFile(path: string): ModelFile {
  const absolute = resolve(path);
  const { realPath, byteLength } = lookAt(
    absolute,
    (why, cause) =>
      new HooklineError("MODEL_NOT_FOUND", {
        message: `cannot open model "${path}": ${why}`,
        fix: "give the path of an .onnx file",
        details: { path: absolute },
        cause,
      }),
  );
  return { path: absolute, realPath, folder: dirname(absolute), byteLength };
}

function weightError(
  code: Extract<ErrorCode, `MODEL_EXTERNAL_${string}`>,
  location: string,
  init: { why: string; fix: string; cause?: unknown },
): HooklineError {
  return new HooklineError(code, {
    message: `cannot use weight file "${location}": ${init.why}`,
    fix: init.fix,
    details: { location },
    cause: init.cause,
  });
}

const FIX_OUTSIDE =
  "copy the weight file into the model's folder, links resolved (cp -L), and name it there";

/** Refuses what is not a plain relative path; `*` + `/` begins ONNX Runtime's in-memory addresses. */
function assertPlain(location: string): void {
  const plain = location !== "" && !location.includes("\0") &&
    !/^([/\\]|[A-Za-z]:|\*\/)/.test(location) &&
    !location.split(/[/\\]/).includes("..");
  if (plain) return;
  throw weightError("MODEL_EXTERNAL_OUTSIDE", location, {
    why: "it is not a plain path inside the model's folder",
    fix: FIX_OUTSIDE,
  });
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) &&
    !isAbsolute(way);
}

function resolveOne(folder: string, location: string): WeightFile {
  assertPlain(location);
  const { realPath, byteLength } = lookAt(
    resolve(folder, location),
    (why, cause) =>
      weightError("MODEL_EXTERNAL_MISSING", location, {
        why: `${why} in ${folder}`,
        fix: "put the weight files that belong to the model beside it",
        cause,
      }),
  );
  if (!isInside(folder, realPath)) {
    throw weightError("MODEL_EXTERNAL_OUTSIDE", location, {
      why: `it is a link that leaves ${folder}`,
      fix: FIX_OUTSIDE,
    });
  }
  return { location, path: realPath, byteLength };
}

function assertRange(reference: WeightReference, file: WeightFile): void {
  const { byteOffset, byteLength, location } = reference;
  const end = byteOffset + (byteLength ?? 0);
  const whole = Number.isSafeInteger(byteOffset) && byteOffset >= 0 &&
    Number.isSafeInteger(end) && end >= byteOffset;
  if (whole && end <= file.byteLength) return;
  throw weightError("MODEL_EXTERNAL_RANGE", location, {
    why: `bytes ${byteOffset} to ${
      byteLength === null ? "the end" : end
    } were asked for, the file has ${file.byteLength}`,
    fix: "fetch the weight file again: it is cut off or belongs to another model",
  });
}

/**
 * Looks at every weight file of a model and at every range in it. A file that many weights share is
 * looked at once.
 *
 * @param folder The model's folder.
 * @param references The weights that lie outside the model's bytes.
 * @throws {HooklineError} MODEL_EXTERNAL_OUTSIDE for a location that is absolute, has `..`, or is a link
 * out of the folder; MODEL_EXTERNAL_MISSING for one that does not exist; MODEL_EXTERNAL_RANGE for one
 * that is too short; MODEL_READ_DENIED for one that this process may not read; MODEL_NOT_FOUND when the
 * folder does not exist.
 */
export function resolveWeightFiles(
  folder: string,
  references: Iterable<WeightReference>,
): WeightFiles {
  let realFolder: string;
  try {
    realFolder = realpathSync(resolve(folder));
  } catch (error) {
    if (isReadDenied(error)) throw readDenied(resolve(folder), error);
    throw new HooklineError("MODEL_NOT_FOUND", {
      message: `cannot open the model's folder "${folder}": it does not exist`,
      fix: "give the folder in which the model's weight files lie",
      details: { path: resolve(folder) },
      cause: error,
    });
  }
  const files = new Map<string, WeightFile>();
  for (const reference of references) {
    let file = files.get(reference.location);
    if (file === undefined) {
      file = resolveOne(realFolder, reference.location);
      files.set(reference.location, file);
    }
    assertRange(reference, file);
  }
  return { folder: realFolder, files: [...files.values()] };
}
