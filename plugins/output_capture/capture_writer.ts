// Opens the file that captures are streamed to; the ending of its name says which format.

import {
  HooklineError,
  openNpzWriter,
  openSafetensorsWriter,
  type TensorWriter,
} from "../../mod.ts";

/**
 * Opens a writer for a `.safetensors` or `.npz` file.
 *
 * @throws {HooklineError} OPTION_INVALID for another ending; FILE_WRITE when the file cannot be made.
 */
export function openCaptureWriter(path: string, model: string): Promise<TensorWriter> {
  if (path.endsWith(".safetensors")) return openSafetensorsWriter(path, { metadata: { model } });
  if (path.endsWith(".npz")) return openNpzWriter(path);
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot write captures to "${path}": its ending names no format`,
    fix: "end the name in .safetensors or .npz",
    details: { option: "to", file: path },
  });
}
