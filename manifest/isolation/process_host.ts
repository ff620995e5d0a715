// Hosts a plugin in a process of its own: `deno run` with the plugin's rights as flags. It is the one level
// that can be ended: SIGKILL stops an endless loop, V8's heap limit and the system's data limit stop a
// memory bomb, and neither takes the host along. Invariant: no code of the plugin runs before the flags
// are in force, and the process is gone when `close` or `kill` is done.

import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { causeText } from "../../errors/cause_text.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import { isGranted } from "../../host/environment.ts";
import { temporaryFolder } from "../../host/temporary_folder.ts";
import { type GuestLink, isolationFault, openGuestLink } from "./guest_link.ts";
import { processBootstrap } from "./guest_process.ts";
import { DEFAULT_HEAP_BYTES, type HostedModule, type HostSpec, LIMIT_SHELL } from "./host_spec.ts";
import { grantedVariables, loadHosted } from "./hosted_module.ts";
import { readablePaths } from "./plugin_root.ts";
import { encodeFrame, readFrames, SECRET_BYTES } from "./process_frames.ts";
import { deniedChecks, dropChecks } from "./runtime_audit.ts";

/** How the process is started. */
export interface ProcessHostOptions {
  /** The `deno` to run; the one that runs this process by default. */
  readonly denoPath?: string;
}

/** What Deno itself holds writable before a plugin is loaded: V8's code range above all. Measured. */
const DENO_DATA_BYTES = 640 * 2 ** 20;
const START_MS = 30_000;
const NOISE_LIMIT = 2 ** 20;
const STDERR_LIMIT = 4096;

/**
 * Starts a process and loads the plugin in it.
 *
 * Its heap may hold `budgets.retainedBytes`, or {@linkcode DEFAULT_HEAP_BYTES}. Memory outside of the heap
 * (typed arrays) is limited too, on Linux where this process may run `/bin/sh`.
 *
 * @throws {HooklineError} PLUGIN_ISOLATION when the process cannot be started, or a folder holds links.
 * @throws {HooklineError} PLUGIN_MODULE when the plugin does not load.
 */
export async function hostInProcess(
  spec: HostSpec,
  { denoPath = process.execPath }: ProcessHostOptions = {},
): Promise<HostedModule> {
  const { plugin } = spec.rights;
  if (!("Deno" in globalThis)) throw isolationFault(plugin, "cannot be isolated: it needs Deno");
  const read = readablePaths(spec);
  const checks = join(makeFolder(plugin), "checks.jsonl");
  const child = spawn(spec, { denoPath, read, checks });
  const { promise: gone, resolve: leave } = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  const writer = child.stdin.getWriter();
  // A process that has ended cannot be written to; its end is what is reported.
  const write = (bytes: Uint8Array): void => void writer.write(bytes).catch(() => {});
  const audited = new Set<string>();
  const watched: HostSpec = {
    ...spec,
    audit(entry) {
      audited.add(JSON.stringify([entry.permission, entry.value]));
      spec.audit(entry);
    },
  };
  const link = openGuestLink(watched, {
    send(message, bytes) {
      for (const part of encodeFrame(message, bytes)) write(part);
    },
    end() {
      try {
        child.kill("SIGKILL");
      } catch {
        // it has ended by itself
      }
    },
  });
  write(secret);
  const fail = (error: Error): void => {
    ready.reject(error);
    link.end(error);
  };
  const errors = tailOf(child.stderr);
  const output = readOutput(child.stdout, secret, { plugin, link, ready: ready.resolve });
  void (async () => {
    const [status, told] = await Promise.all([child.status, errors, output]);
    fail(endOf(spec, status, told));
    await writer.abort().catch(() => {});
    for (const { permission, value } of deniedChecks(checks, spec, read)) {
      if (audited.has(JSON.stringify([permission, value]))) continue;
      spec.audit({ plugin, permission, value, module: null, decision: "deny" });
    }
    dropChecks(checks);
    leave();
  })();
  const timer = setTimeout(
    () => fail(isolationFault(plugin, "has a process that does not start")),
    START_MS,
  );
  try {
    await ready.promise;
  } catch (error) {
    await gone;
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return await loadHosted(watched, link, gone);
}

/** The folder for Deno's own record of what the plugin tried. */
function makeFolder(plugin: string): string {
  const folder = temporaryFolder();
  try {
    return mkdtempSync(join(folder, "hookline-plugin-"));
  } catch (cause) {
    throw new HooklineError("PLUGIN_ISOLATION", {
      message: `cannot start a process for plugin "${plugin}": ${causeText(cause)}`,
      fix:
        `let the application write to and read from "${folder}": see \`hookline plugin run-flags\``,
      details: { plugin, folder },
      cause,
    });
  }
}

/** The arguments of `deno` for the plugin's process. */
export function processArguments(spec: HostSpec, read: readonly string[]): readonly string[] {
  const { env, net } = spec.rights;
  // Deno splits lists at commas; two stand for one.
  const list = (values: readonly string[]): string =>
    values.map((value) => value.replaceAll(",", ",,")).join(",");
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-remote",
    "--no-npm",
    "--cached-only",
    "--no-config",
    "--no-lock",
    `--allow-read=${list(read)}`,
    "--deny-write",
    ...(net.length === 0 ? ["--deny-net"] : [`--allow-net=${list(net)}`]),
    ...(env.length === 0 ? ["--deny-env"] : [`--allow-env=${list(env)}`]),
    "--deny-run",
    "--deny-ffi",
    "--deny-sys",
    "--deny-import",
    `--v8-flags=--max-old-space-size=${Math.ceil(heapBytes(spec) / 2 ** 20)}`,
    processBootstrap(SECRET_BYTES),
  ];
}

function heapBytes({ budgets }: HostSpec): number {
  return Math.max(32 * 2 ** 20, budgets.retainedBytes ?? DEFAULT_HEAP_BYTES);
}

function spawn(spec: HostSpec, { denoPath, read, checks }: {
  readonly denoPath: string;
  readonly read: readonly string[];
  readonly checks: string;
}): Deno.ChildProcess {
  const args = processArguments(spec, read);
  const kilobytes = Math.ceil((DENO_DATA_BYTES + 2 * heapBytes(spec)) / 1024);
  const mayLimit = process.platform === "linux" && isGranted({ name: "run", command: LIMIT_SHELL });
  const limit = 'ulimit -d "$1" 2>/dev/null; shift; exec "$@"';
  const [program, all] = mayLimit
    ? [LIMIT_SHELL, ["-c", limit, "sh", String(kilobytes), denoPath, ...args]]
    : [denoPath, args];
  try {
    return new Deno.Command(program, {
      args: [...all],
      clearEnv: true,
      cwd: spec.root,
      env: {
        ...grantedVariables(spec.rights.env),
        DENO_AUDIT_PERMISSIONS: checks,
        DENO_NO_UPDATE_CHECK: "1",
        NO_COLOR: "1",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    dropChecks(checks);
    throw new HooklineError("PLUGIN_ISOLATION", {
      message: `cannot start a process for plugin "${spec.rights.plugin}": ${causeText(cause)}`,
      fix:
        `run the application with --allow-run=${denoPath}, which is full trust for the application`,
      details: { plugin: spec.rights.plugin, program },
      cause,
    });
  }
}

async function readOutput(
  stream: ReadableStream<Uint8Array>,
  secret: Uint8Array,
  { plugin, link, ready }: {
    readonly plugin: string;
    readonly link: GuestLink;
    readonly ready: () => void;
  },
): Promise<void> {
  let noise = 0;
  const frames = readFrames(secret, {
    onFrame({ message, buffers }) {
      if ((message as { readonly ready?: unknown } | null)?.ready === true) ready();
      else link.receive(message, buffers);
    },
    onNoise(byteLength) {
      noise += byteLength;
      link.forged(`${byteLength} bytes on standard output`);
      if (noise > NOISE_LIMIT) link.end(isolationFault(plugin, "floods its standard output"));
    },
  });
  for await (const piece of stream) frames.take(piece);
}

async function tailOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of stream) {
    text = (text + decoder.decode(piece, { stream: true })).slice(-STDERR_LIMIT);
  }
  return text;
}

/** Why a process ended by itself. */
function endOf(spec: HostSpec, status: Deno.CommandStatus, told: string): Error {
  const { plugin } = spec.rights;
  if (/out of memory|heap limit/i.test(told)) {
    const value = `retainedBytes ${heapBytes(spec)}`;
    spec.audit({ plugin, permission: "budget", value, module: null, decision: "deny" });
    return new HooklineError("HOOK_BUDGET", {
      message:
        `plugin "${plugin}" took more memory than the ${heapBytes(spec)} bytes of its budget; ` +
        "its process has ended",
      fix: "raise budgets.retainedBytes in plugin.json, or let the plugin keep less",
      details: { plugin, budget: "retainedBytes", limit: heapBytes(spec) },
    });
  }
  const how = status.signal === null ? `status ${status.code}` : status.signal;
  const why = told.split("\n").find((line) => line.startsWith("error: ")) ?? "";
  return isolationFault(plugin, `ended with ${how}${why === "" ? "" : `: ${why.slice(7)}`}`);
}
