// JSON text that names no key twice. JSON.parse keeps the last of two equal keys in silence; a file
// that says two things is refused here instead.

import { fileFault, quoted } from "./_file_fault.ts";

/**
 * Parses a JSON file. `format` and `label` word the FILE_FORMAT error for bytes that are no UTF-8, no
 * JSON, or JSON with a repeated key.
 */
export function parseStrictJson(
  bytes: Uint8Array,
  format: string,
  label: string,
): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw fileFault(format, label, {
      found: "bytes that are no UTF-8",
      wanted: "JSON text in UTF-8",
      fix: "save the file as UTF-8",
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const at = error instanceof Error ? / at position \d+/.exec(error.message) : null;
    throw fileFault(format, label, {
      found: `text that is no JSON${at?.[0] ?? ""}`,
      wanted: "one JSON value",
      fix:
        'check commas and quotes; write NaN and infinities as the strings "NaN", "Infinity", "-Infinity"',
    });
  }
  const repeated = repeatedKey(text);
  if (repeated !== null) {
    throw fileFault(format, label, {
      found: `the key ${quoted(repeated)} twice in one object`,
      wanted: "every key once",
      fix: "remove one of the two",
    });
  }
  return value;
}

/** The first key that occurs twice in one object of valid JSON text, or null. */
function repeatedKey(text: string): string | null {
  const open: (Set<string> | null)[] = [];
  let expectKey = false;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case "{":
        open.push(new Set());
        expectKey = true;
        break;
      case "[":
        open.push(null);
        expectKey = false;
        break;
      case "}":
      case "]":
        open.pop();
        expectKey = false;
        break;
      case ",":
        expectKey = open.at(-1) instanceof Set;
        break;
      case '"': {
        const start = at++;
        while (at < text.length && text[at] !== '"') {
          at += text[at] === "\\" ? 2 : 1;
        }
        if (!expectKey) break;
        expectKey = false;
        const key = JSON.parse(text.slice(start, at + 1)) as string;
        const keys = open.at(-1);
        if (keys?.has(key)) return key;
        keys?.add(key);
        break;
      }
    }
  }
  return null;
}
