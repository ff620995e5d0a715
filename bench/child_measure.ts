// Runs a command and measures it from outside: wall time, and the largest memory that it ever held. The
// kernel counts the peak, so nothing is sampled where GNU time is there to ask for it.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How a child's peak memory was found. */
export type PeakSource = "gnu-time" | "proc-status" | "unknown";

/** What a command did and took. */
export interface ChildMeasure {
  /** Wall time from spawning to the end. */
  readonly elapsedMs: number;
  /** Largest resident set in bytes; null where the system does not tell, or when not asked for. */
  readonly peakByteLength: number | null;
  /** Where `peakByteLength` comes from. */
  readonly peakSource: PeakSource;
  /** Its standard output. */
  readonly stdout: string;
}

/** How to measure. */
export interface ChildOptions {
  /** The folder to run in. */
  readonly cwd?: string;
  /** Whether memory is measured; it adds a millisecond to the time. */
  readonly peak?: boolean;
}

const GNU_TIME = "/usr/bin/time";
const POLL_MS = 2;

/**
 * Runs a command to its end.
 *
 * @throws {Error} when it ends with another status than 0, with what it wrote to standard error.
 */
export async function measureChild(
  command: readonly string[],
  options: ChildOptions = {},
): Promise<ChildMeasure> {
  const wantsPeak = options.peak ?? false;
  if (!wantsPeak || !existsSync(GNU_TIME)) return await spawn(command, options, wantsPeak);
  // The parent's own peak would show in a child's: GNU time stands between, and it is small.
  const report = join(tmpdir(), `hookline-peak-${crypto.randomUUID()}`);
  try {
    const timed = [GNU_TIME, "--quiet", "-f", "%M", "-o", report, "--", ...command];
    const measure = await spawn(timed, options, false);
    const peakByteLength = Number(readFileSync(report, "utf8").trim()) * 1024;
    return { ...measure, peakByteLength, peakSource: "gnu-time" };
  } finally {
    rmSync(report, { force: true });
  }
}

async function spawn(
  command: readonly string[],
  options: ChildOptions,
  polls: boolean,
): Promise<ChildMeasure> {
  const [program = "", ...args] = command;
  const cwd = options.cwd === undefined ? {} : { cwd: options.cwd };
  const start = performance.now();
  const child = new Deno.Command(program, { args, ...cwd, stdout: "piped", stderr: "piped" })
    .spawn();
  let peakByteLength: number | null = null;
  const poll = polls
    ? setInterval(() => peakByteLength = highWaterMark(child.pid) ?? peakByteLength, POLL_MS)
    : undefined;
  try {
    const output = await child.output();
    const elapsedMs = performance.now() - start;
    if (!output.success) {
      const text = new TextDecoder().decode(output.stderr).trim();
      throw new Error(`${command.join(" ")} ended with status ${output.code}: ${text}`);
    }
    return {
      elapsedMs,
      peakByteLength,
      peakSource: peakByteLength === null ? "unknown" : "proc-status",
      stdout: new TextDecoder().decode(output.stdout),
    };
  } finally {
    clearInterval(poll);
  }
}

/** The kernel's own high-water mark: it only grows, so the last reading misses no earlier peak. */
function highWaterMark(processId: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${processId}/status`, "utf8");
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined; // no /proc here, or the child has ended
  }
}
