// What a failed look at a file means, in Deno and in Node.

const DENIED_NAMES: readonly string[] = ["NotCapable", "PermissionDenied"];
const DENIED_CODES: readonly string[] = ["EACCES", "EPERM", "ERR_ACCESS_DENIED"];

/** True when the process may not read, be it by Deno's, Node's or the system's rules. */
export function isReadDenied(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  return DENIED_NAMES.includes(error.name) ||
    (typeof code === "string" && DENIED_CODES.includes(code));
}
