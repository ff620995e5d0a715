// What a guest says unasked: that it was denied something, that intrinsics were changed, lines to log,
// and writes to its files. Nothing in it is believed further than that: a note can only add an entry, a
// line, or bytes to a file that the plugin was granted.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { PluginSink } from "../plugin_module.ts";
import { SinkFolder } from "../plugin_sink.ts";
import type { HostSpec } from "./host_spec.ts";

/** Takes the notes of one guest. */
export interface GuestNotes extends Disposable {
  /** Takes a note; false when it is none that a guest of ours writes. Throws what a file's write throws. */
  take(note: Readonly<Record<string, unknown>>, buffers: readonly unknown[]): boolean;
  /** Adds an entry of something that was denied. */
  deny(permission: string, value: string | null): void;
}

/** How many attempts of one plugin are written down one by one. */
const ATTEMPT_LIMIT = 10_000;
const VALUE_LIMIT = 1024;
const LINE_LIMIT = 8192;
const SINK_LIMIT = 256;

/** `onFlood` is called once when a plugin has tried more than can be written down. */
export function takeNotes(
  spec: HostSpec,
  { module, onFlood }: {
    /** The module whose call is running, or null. */
    readonly module: () => string | null;
    readonly onFlood: () => void;
  },
): GuestNotes {
  const { plugin } = spec.rights;
  const sinks = new Map<number, PluginSink>();
  const folder = new SinkFolder({
    rights: spec.rights,
    outputBytes: spec.budgets.outputBytes,
    audit: spec.audit,
  });
  const log = spec.log ?? ((line: string): void => console.error(`[${plugin}] ${line}`));
  let attempts = 0;
  const deny = (permission: string, value: string | null): void => {
    if (attempts++ === ATTEMPT_LIMIT) onFlood();
    if (attempts > ATTEMPT_LIMIT) return;
    spec.audit({
      plugin,
      permission,
      value: value === null ? null : value.slice(0, VALUE_LIMIT),
      module: module(),
      decision: "deny",
    });
  };
  const takeSink = (note: Readonly<Record<string, unknown>>, bytes: unknown): boolean => {
    const { op, sink, name, text } = note;
    if (typeof sink !== "number") return false;
    if (op === "open" && typeof name === "string" && !sinks.has(sink)) {
      if (sinks.size >= SINK_LIMIT) throw tooManyFiles(plugin);
      try {
        sinks.set(sink, folder.open(name));
      } catch (error) {
        if (note.refused !== true) throw error; // the guest has thrown it already
      }
      return true;
    }
    const found = sinks.get(sink);
    if (found === undefined) return true; // its opening was refused, and said so
    if (op === "write" && typeof text === "string") found.write(text);
    else if (op === "write" && bytes instanceof ArrayBuffer) found.write(new Uint8Array(bytes));
    else if (op === "close") {
      found.close();
      sinks.delete(sink);
    } else return false;
    return true;
  };
  return {
    deny,
    take(note, buffers) {
      switch (note.note) {
        case "denied":
          deny(...attemptOf(String(note.value)));
          return true;
        case "tampered":
          deny("intrinsics", String(note.value));
          return true;
        case "log":
          for (const line of String(note.text).slice(0, LINE_LIMIT).split("\n")) {
            log(line.replaceAll(/\p{Cc}/gu, "?")); // no escape sequence reaches a terminal
          }
          return true;
        case "sink":
          return takeSink(note, buffers[0]);
        default:
          return false;
      }
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

/** Permission and value of what Deno said when it denied something. */
function attemptOf(message: string): [string, string | null] {
  const [, permission, value] = /^Requires (\w+) access(?: to "(.*)")?/s.exec(message) ?? [];
  if (permission !== undefined) return [permission, value ?? null];
  const [, method] = /^Deno\.(\w+)\(\) requires/.exec(message) ?? [];
  return method === undefined ? ["realm", message] : ["write", `Deno.${method}`];
}

function tooManyFiles(plugin: string): HooklineError {
  return new HooklineError("HOOK_BUDGET", {
    message: `plugin "${plugin}" holds ${SINK_LIMIT} files open and wants one more`,
    fix: "let the plugin close a file before it opens the next",
    details: { plugin, budget: "files", limit: SINK_LIMIT },
  });
}
