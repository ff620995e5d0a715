// A child process that prints JSON lines, watched: each line must come within a time limit, or the
// process is killed. It knows nothing of what the lines mean.

/** How a watched process ended. */
export interface WatchedEnd {
  /** True when it ended by itself with status 0. */
  readonly isClean: boolean;
  /** Why it is not clean: the signal, the status, or `silent`, with the end of what it complained. */
  readonly reason: string;
}

/** What to run and how long to wait for a line. */
export interface WatchedCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly silenceMs: number;
}

/** Runs a command, hands every line that it prints to `onLine`, and says how it ended. */
export async function runWatched(
  command: WatchedCommand,
  onLine: (line: string) => void,
): Promise<WatchedEnd> {
  const child = new Deno.Command(command.program, {
    args: [...command.args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ORT_DISABLE_TELEMETRY: "1", DENO_NO_UPDATE_CHECK: "1" },
  }).spawn();
  let isSilent = false;
  const kill = (): void => {
    isSilent = true;
    child.kill("SIGKILL");
  };
  let timer = setTimeout(kill, command.silenceMs);
  const complaint = new Response(child.stderr).text();
  let rest = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    clearTimeout(timer);
    timer = setTimeout(kill, command.silenceMs);
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(onLine);
  }
  const status = await child.status;
  clearTimeout(timer);
  const said = (await complaint).trim().split("\n").slice(-4).join(" | ").slice(0, 600);
  if (isSilent) return { isClean: false, reason: `silent for ${command.silenceMs} ms` };
  if (status.success) return { isClean: true, reason: "" };
  return { isClean: false, reason: `${status.signal ?? `status ${status.code}`}: ${said}` };
}
