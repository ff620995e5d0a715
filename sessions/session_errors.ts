// Turns what ONNX Runtime throws into coded errors, once, at the border. ONNX Runtime's errors carry no
// code and run over many lines with source paths in them; the message keeps the one line that helps and
// the cause keeps the rest.

import { HooklineError } from "../errors/hookline_error.ts";
import type { SessionSettings } from "./engine.ts";

const LONGEST_LINE = 400;
const STATUS_PREFIX = /^\s*\[ONNXRuntimeError\] : \d+ : [A-Z_]+ :\s*/;
/** Ends the source place, signature and condition of a C++ check; what follows is meant for people. */
const FAILED_CHECK = " was false. ";

/** The text of a thrown thing, without risking that reading it throws. */
export function causeText(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/**
 * The line of an ONNX Runtime message that helps a reader: the first one, without the status prefix and
 * without the C++ check that failed. At most 400 characters, no trailing period.
 */
export function firstUsefulLine(text: string): string {
  const lines = text.replace(STATUS_PREFIX, "").split("\n");
  let line = lines.find((candidate) => candidate.trim() !== "")?.trim() ??
    "no reason given";
  const check = line.indexOf(FAILED_CHECK);
  const place = line.indexOf("onnxruntime");
  if (place >= 0 && place < check) {
    const start = line.lastIndexOf(" ", place) + 1;
    line = line.slice(0, start) + line.slice(check + FAILED_CHECK.length);
  }
  return line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)}…` : line.replace(/\.$/, "");
}

function createFix(text: string): string {
  if (text.startsWith("Unsupported data type")) {
    return "cast the value inside the graph: this element type cannot cross into JavaScript";
  }
  if (/external data/i.test(text)) {
    return "put the weight files beside the model, as plain files and not as links to elsewhere";
  }
  if (/Failed to load shared library|adapter/i.test(text)) {
    return 'run `hookline doctor` to see what the provider lacks, or use provider "cpu"';
  }
  return "check the model with `hookline inspect`; the error's cause holds ONNX Runtime's full text";
}

/** The error for a model that ONNX Runtime would not open. */
export function sessionCreateError(
  settings: SessionSettings,
  cause: unknown,
): HooklineError {
  const text = causeText(cause);
  const { label, provider } = settings;
  return new HooklineError("SESSION_CREATE", {
    message: `cannot open ${label} on ${provider}: ${firstUsefulLine(text)}`,
    fix: createFix(text),
    details: { label, provider },
    cause,
  });
}

/** The error for a run that failed inside ONNX Runtime. */
export function sessionRunError(
  settings: SessionSettings,
  cause: unknown,
): HooklineError {
  const { label, provider } = settings;
  return new HooklineError("SESSION_RUN", {
    message: `cannot run ${label} on ${provider}: ${firstUsefulLine(causeText(cause))}`,
    fix:
      "check that the inputs' symbolic dimensions agree; the error's cause holds ONNX Runtime's full text",
    details: { label, provider },
    cause,
  });
}

/** The error for a session used after its release. */
export function sessionReleasedError(settings: SessionSettings): HooklineError {
  const { label, provider } = settings;
  return new HooklineError("SESSION_RELEASED", {
    message: `cannot run ${label}: its session was released`,
    fix: "open the model again, or release it later",
    details: { label, provider },
  });
}
