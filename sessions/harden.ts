// Gives up what a process needed only to load: after it, no code in this process, a plugin's included, can
// open a library, start a program or reach the network. Invariant: nothing is given up that an open session
// still needs, and ONNX Runtime is loaded before the right to load it goes.

import { HooklineError } from "../errors/hookline_error.ts";
import { requireOptions } from "../errors/option_names.ts";
import { canRevoke, type RevocablePermission, revokePermission } from "../host/revocation.ts";
import { loadOrt } from "./ort_loader.ts";
import { openSessions } from "./session_ledger.ts";

/** How {@linkcode harden} hardens. */
export interface HardenOptions {
  /** What is given up; `ffi`, `run`, `net`, `sys` and `import` by default. */
  readonly revoke?: readonly RevocablePermission[];
}

/** What {@linkcode harden} did. */
export interface HardenReport {
  /** What is gone, sorted. */
  readonly revoked: readonly RevocablePermission[];
}

const ALL: readonly RevocablePermission[] = [
  "env",
  "ffi",
  "import",
  "net",
  "read",
  "run",
  "sys",
  "write",
];
const DEFAULT: readonly RevocablePermission[] = ["ffi", "import", "net", "run", "sys"];

/**
 * Gives up permissions for the rest of this process, of every thread that inherits them. Call it when
 * plugins and models are loaded: sessions of the napi engine go on working and new ones may be opened,
 * plugins in workers and processes go on running, and none can be started that need what is gone.
 *
 * The native engine calls functions through pointers, for which Deno wants `ffi` to the end: hardening and
 * open sessions of it exclude each other, and after hardening `auto` takes the napi engine. Run with
 * `--no-prompt`: at a terminal Deno would ask a person for what was given up. Native code that is loaded
 * already is outside of Deno's permissions, hardened or not.
 *
 * @throws {HooklineError} HARDEN_REFUSED when a session of the native engine is open and `ffi` would go,
 * or where the runtime has no permissions; nothing is given up then.
 * @throws {HooklineError} OPTION_INVALID for a permission that does not exist; ENGINE_UNAVAILABLE when
 * ONNX Runtime cannot be loaded before `ffi` goes.
 *
 * @example
 * ```ts ignore
 * import { harden, openModel } from "@hookline/hookline";
 * await using model = await openModel("bert.onnx", { engine: "napi" });
 * console.log((await harden()).revoked); // [ "ffi", "import", "net", "run", "sys" ]
 * ```
 */
export async function harden(options: HardenOptions = {}): Promise<HardenReport> {
  requireOptions("harden the process", options, ["revoke"]);
  const asked = [...new Set(options.revoke ?? DEFAULT)].sort();
  for (const name of asked) {
    if (!ALL.includes(name)) throw unknownPermission(String(name));
  }
  if (!canRevoke()) {
    throw refused("this runtime has no permissions that a process can give up", {
      fix: "run with Deno, or leave harden() out",
    });
  }
  if (asked.includes("ffi")) {
    refuseNative();
    await loadOrt();
    refuseNative(); // a session may have been opened meanwhile
  }
  for (const name of asked) {
    if (!revokePermission(name)) {
      throw refused(`Deno does not give up "${name}"`, {
        fix: "start the process without the permission",
        permission: name,
      });
    }
  }
  return Object.freeze({ revoked: Object.freeze(asked) });
}

function refuseNative(): void {
  const native = openSessions().filter(({ engine }) => engine === "native");
  if (native.length === 0) return;
  throw refused(
    `${native.length} open ${native.length === 1 ? "session uses" : "sessions use"} the native ` +
      `engine ("${native[0]?.label}"), which needs ffi to the end`,
    {
      fix: 'open models with { engine: "napi" } to harden, or pass { revoke } without "ffi"',
      permission: "ffi",
      sessions: native.length,
    },
  );
}

function refused(
  why: string,
  { fix, ...details }: { readonly fix: string } & Record<string, string | number>,
): HooklineError {
  return new HooklineError("HARDEN_REFUSED", {
    message: `cannot harden this process: ${why}`,
    fix,
    details,
  });
}

function unknownPermission(name: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot give up the permission "${name.slice(0, 80)}": there is no such permission`,
    fix: `use ${ALL.join(", ")}`,
    details: { option: "revoke", value: name.slice(0, 80) },
  });
}
