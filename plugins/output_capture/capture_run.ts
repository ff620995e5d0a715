// One scope: a collector in place, a file open while it lasts, and what becomes of both when the scope
// ends well or badly. It knows no keys' declarations and attaches no hooks.

import { HooklineError, type TensorWriter } from "../../mod.ts";
import type { CaptureKey } from "./capture_key.ts";
import type { WantedPositions } from "./capture_request.ts";
import { openCaptureWriter } from "./capture_writer.ts";
import { Collector, type CollectorOptions } from "./collector.ts";

/** Where values go. */
export interface CaptureTarget {
  readonly to?: string | TensorWriter;
  readonly prefix?: string;
  readonly keep?: boolean;
}

/** What a scope needs beside its target. */
export interface ScopeRequest extends Omit<CollectorOptions, "writer" | "prefix" | "keeps"> {
  readonly target: CaptureTarget;
  /** What to call the model in a file. */
  readonly label: string;
  /** What it means when nothing of a key was recorded. */
  readonly onEmpty: "error" | "ignore";
}

/** How a scope ended. */
export interface ScopeEnd<T> {
  readonly collector: Collector;
  readonly outcome:
    | { readonly ok: true; readonly value: T }
    | { readonly ok: false; readonly error: unknown };
}

const OWN_CODES: readonly string[] = [
  "CAPTURE_BUDGET",
  "FILE_WRITE",
  "OPTION_INVALID",
  "FEED_DATA",
];

/**
 * Runs `fn` in a scope. A file is completed when all went well, and left at `FILE.partial` otherwise. A
 * file that cannot be opened is thrown at once: nothing has run.
 */
export async function runScope<T>(
  request: ScopeRequest,
  fn: (collector: Collector) => Promise<T>,
): Promise<ScopeEnd<T>> {
  const { target, label, onEmpty, ...rest } = request;
  const { to, prefix = "", keep = to === undefined } = target;
  const file = typeof to === "string" ? await openCaptureWriter(to, label) : null;
  const writer = typeof to === "string" ? file : to ?? null;
  const collector = new Collector({ ...rest, writer, prefix, keeps: keep });
  try {
    const value = await collector.run(() => fn(collector));
    if (onEmpty === "error") requireSome(request.wanted, collector);
    await file?.close();
    return { collector, outcome: { ok: true, value } };
  } catch (error) {
    await file?.abandon();
    return { collector, outcome: { ok: false, error: unwrapped(error) } };
  }
}

/** A capture's own fault is thrown as itself, not as that of a hook that threw. */
function unwrapped(error: unknown): unknown {
  if (!(error instanceof HooklineError) || error.code !== "HOOK_THROWN") return error;
  const { cause } = error;
  const isOwn = String(error.details["hook"] ?? "").startsWith("output-capture");
  return isOwn && cause instanceof HooklineError && OWN_CODES.includes(cause.code) ? cause : error;
}

function requireSome(wanted: WantedPositions, collector: Collector): void {
  const filled = new Set<CaptureKey>(collector.runs.flatMap((run) => [...run.values.keys()]));
  for (const key of wanted.keys()) {
    if (filled.has(key)) continue;
    const modules = [...new Set(key.slots().flatMap((slot) => slot === null ? [] : [slot.module]))];
    const owner = key.level === "" ? "" : ` of "${key.level}"`;
    throw new HooklineError("CAPTURE_EMPTY", {
      message: `captured nothing for "${key.name}"${owner}: none of its modules ran (${
        modules.slice(0, 3).join(", ")
      }${modules.length > 3 ? ", …" : ""})`,
      fix:
        "run the model inside the scope, end the hook that replaces these modules, or set onEmpty",
      details: { key: key.name, level: key.level, modules: modules.slice(0, 20) },
    });
  }
}
