// What people give as a model, before anything is read: a path, a `file:` address, or bytes. It tells the
// likely mistakes apart and says what to give instead; it opens nothing.

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";

/** `scheme://…`; a drive letter is no scheme. */
const ADDRESS = /^([a-z][a-z0-9+.-]+):\/\//i;
const WANTED = "give a path, a file: URL, a Uint8Array, or what openSkeleton() returned";

/**
 * The absolute path that a path or a `file:` address means.
 *
 * @throws {HooklineError} OPTION_INVALID for an address of another kind and for anything else.
 */
export function modelPath(model: unknown): string {
  if (typeof model === "string" && !ADDRESS.test(model)) return resolve(model);
  if (typeof model !== "string" && !(model instanceof URL)) throw notAModel(model);
  const address = String(model);
  const scheme = /^[^:]*/.exec(address)?.[0].toLowerCase() ?? "";
  if (scheme !== "file") {
    throw invalid(
      `"${address.slice(0, 200)}" lies behind ${scheme}: and not in a file`,
      "fetch it first: openModel(new Uint8Array(await (await fetch(url)).arrayBuffer()))",
    );
  }
  try {
    return resolve(fileURLToPath(address));
  } catch (cause) {
    throw invalid(
      `"${address.slice(0, 200)}" is no address of a local file: ${causeText(cause)}`,
      "give the file's path",
      cause,
    );
  }
}

/** OPTION_INVALID for what is no path, no bytes and no skeleton, with what it is instead. */
export function notAModel(found: unknown): HooklineError {
  if (found instanceof ArrayBuffer) {
    return invalid("it is an ArrayBuffer, wanted are its bytes", "pass new Uint8Array(buffer)");
  }
  if (ArrayBuffer.isView(found)) {
    return invalid(
      `it is a ${found.constructor.name}, wanted is a Uint8Array`,
      "pass new Uint8Array(view.buffer, view.byteOffset, view.byteLength)",
    );
  }
  return invalid(`${kindOf(found)} is no path, no bytes and no skeleton`, WANTED);
}

/** The folder that was given for weights, or null. */
export function givenFolder(folder: unknown): string | null {
  if (folder === undefined) return null;
  if (typeof folder === "string") return resolve(folder);
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot open a model with weightFolder ${kindOf(folder)}: wanted is a path`,
    fix: "give the folder of the weight files as text, or leave weightFolder out",
    details: { option: "weightFolder" },
  });
}

/** What something is, in words: "null", "a number", "a Model", "an object". */
function kindOf(found: unknown): string {
  if (found === null || found === undefined) return String(found);
  const name = typeof found === "object" ? className(found) : typeof found;
  return /^[aeiou]/i.test(name) ? `an ${name}` : `a ${name}`;
}

function className(found: object): string {
  const maker: unknown = Object.getPrototypeOf(found)?.constructor;
  return typeof maker === "function" && maker !== Object && maker.name !== ""
    ? maker.name
    : "object";
}

function invalid(what: string, fix: string, cause?: unknown): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot use this as a model: ${what}`,
    fix,
    details: { option: "model" },
    cause,
  });
}
