// The one place that words a damaged data file. It knows no format; a message quotes structure
// (headers, names, lengths), never tensor contents.

import { type ErrorDetail, HooklineError } from "../errors/hookline_error.ts";

/** What is wrong with a file. */
export interface FileFault {
  /** What the file holds instead, as a noun phrase. */
  readonly found: string;
  /** What a sound file would hold, as a noun phrase. */
  readonly wanted: string;
  /** One imperative line. */
  readonly fix: string;
  /** More structured facts. */
  readonly details?: Readonly<Record<string, ErrorDetail>>;
}

/**
 * The FILE_FORMAT error of one file: `format` is "npy", `label` is what the caller calls the file.
 */
export function fileFault(
  format: string,
  label: string,
  fault: FileFault,
): HooklineError {
  return new HooklineError("FILE_FORMAT", {
    message: `cannot read ${format} data "${label}": found ${fault.found}, wanted ${fault.wanted}`,
    fix: fault.fix,
    details: {
      ...fault.details,
      file: label,
      format,
      found: fault.found,
      wanted: fault.wanted,
    },
  });
}

/** The FILE_WRITE error for a tensor that a format cannot hold. */
export function writeFault(
  format: string,
  name: string | null,
  reason: string,
  fix: string,
): HooklineError {
  const subject = name === null ? "a tensor" : `tensor "${name}"`;
  return new HooklineError("FILE_WRITE", {
    message: `cannot write ${subject} as ${format}: ${reason}`,
    fix,
    details: { format, reason, ...(name === null ? {} : { tensor: name }) },
  });
}

/** Text from a file, quoted and cut to a length that suits a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/**
 * The product of a shape, or null when a dimension is no safe count or the product of the non-zero
 * dimensions is not exact: such a shape is refused even where a zero makes the tensor empty.
 */
export function exactElementCount(shape: readonly unknown[]): number | null {
  let product = 1;
  let empty = false;
  for (const size of shape) {
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
      return null;
    }
    if (size === 0) empty = true;
    else product *= size;
    if (!Number.isSafeInteger(product)) return null;
  }
  return empty ? 0 : product;
}
