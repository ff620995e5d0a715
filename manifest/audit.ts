// The audit log: one line for every effect that a plugin tried and for every right that it was refused.
// It numbers and dates entries and hands them on; it decides nothing. Invariant: entries are counted even
// where nobody keeps them, so that a report can say how many were denied.

import { closeSync, openSync, writeSync } from "node:fs";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";

/** What was tried, and what came of it. Never holds tensor contents. */
export interface AuditEntry {
  /** The plugin's name. */
  readonly plugin: string;
  /** The permission that it needs, such as `write-activations`, `fs-write` or `net`. */
  readonly permission: string;
  /** What it was tried on: a path, a host, a variable, a tensor's name; null where there is none. */
  readonly value: string | null;
  /** The module whose call it happened in, or null outside of calls. */
  readonly module: string | null;
  /** What came of it. */
  readonly decision: "allow" | "deny";
  /** Where in the plugin's code it came from, when known. */
  readonly stack?: string;
}

/** An entry as the log holds it: a superset of Deno's own audit line. */
export interface AuditRecord extends AuditEntry {
  /** Version of the form. */
  readonly v: 1;
  /** Position in the log, from 0. */
  readonly seq: number;
  /** When it was logged, ISO 8601 in UTC. */
  readonly datetime: string;
}

/** Takes what plugins tried; see {@linkcode createAuditLog}. */
export type Audit = (entry: AuditEntry) => void;

/** An open audit log. */
export interface AuditLog extends Disposable {
  /** Adds an entry; may be passed on without its log. */
  readonly audit: Audit;
  /** How many entries were added, by decision. */
  readonly counts: Readonly<Record<AuditEntry["decision"], number>>;
}

/** How {@linkcode createAuditLog} writes. */
export interface AuditLogOptions {
  /** A file to append JSON lines to; it is made when it does not exist. */
  readonly path?: string;
  /** Gets every record, whether or not there is a file. */
  readonly onRecord?: (record: AuditRecord) => void;
  /** The clock, in milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
}

/**
 * Opens an audit log. Lines are written at once and in order, so that what a plugin tried last is on disk
 * even when it then ends the process.
 *
 * @throws {HooklineError} FILE_WRITE when the file cannot be opened; `audit` when it cannot be written.
 *
 * @example
 * ```ts
 * import { createAuditLog } from "@hookline/hookline";
 * const log = createAuditLog({ onRecord: (record) => console.log(record.seq, record.decision) });
 * log.audit({ plugin: "spy", permission: "net", value: "example.com", module: null, decision: "deny" });
 * console.log(log.counts.deny); // 1
 * ```
 */
export function createAuditLog(options: AuditLogOptions = {}): AuditLog {
  const { path, onRecord, now = Date.now } = options;
  const descriptor = path === undefined ? null : openFile(path);
  const counts = { allow: 0, deny: 0 };
  let seq = 0;
  let isOpen = true;
  return {
    counts,
    audit({ plugin, permission, value, module, decision, stack }) {
      counts[decision]++;
      const record: AuditRecord = {
        v: 1,
        seq: seq++,
        datetime: new Date(now()).toISOString(),
        plugin,
        permission,
        value,
        module,
        decision,
        ...(stack === undefined ? {} : { stack }),
      };
      onRecord?.(record);
      if (descriptor !== null && isOpen) writeLine(path ?? "", descriptor, record);
    },
    [Symbol.dispose]() {
      if (descriptor !== null && isOpen) closeSync(descriptor);
      isOpen = false;
    },
  };
}

function openFile(path: string): number {
  try {
    return openSync(path, "a");
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

function writeLine(path: string, descriptor: number, record: AuditRecord): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

function unwritable(path: string, cause: unknown): HooklineError {
  return new HooklineError("FILE_WRITE", {
    message: `cannot write the audit log "${path}": ${causeText(cause)}`,
    fix: "check the folder, that you may write there, and the process's write permission",
    details: { file: path },
    cause,
  });
}
