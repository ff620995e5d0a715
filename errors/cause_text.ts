// What was thrown, in words. Anything may be thrown, and reading it may throw in turn; an error about
// somebody else's error must not be lost to that.

/** The message of an error, or the thrown value as text. Never throws. */
export function causeText(cause: unknown): string {
  try {
    return String(cause instanceof Error ? cause.message : cause);
  } catch {
    return "a value that cannot be written as text";
  }
}
