// The module metadata that torch >= 2.5 writes on every node: two parallel Python lists, one of
// cumulative module paths, one of classes, or both joined in one `namespace`. It parses; what a path
// means is for naming_evidence. Invariant: text that is not such a list gives null, never a guess.

import type { NodeProto } from "onnx-buf";

/** What a node's metadata says about where it lies. */
export interface NameScopes {
  /** Cumulative module paths, the root first, the operator's own entry left out. */
  readonly paths: readonly string[];
  /** Class names without their Python module, parallel to `paths`; null where there is none. */
  readonly classes: readonly (string | null)[];
}

const SCOPES_KEY = "pkg.torch.onnx.name_scopes";
const CLASSES_KEY = "pkg.torch.onnx.class_hierarchy";
const NAMESPACE_KEYS: readonly string[] = ["namespace", "pkg.torch.onnx.namespace"];

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\n": "",
};
const HEX_ESCAPE_LENGTH: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** Parses `repr()` of a Python list or tuple of strings; null when the text is anything else. */
export function parsePythonStringList(text: string): string[] | null {
  let position = 0;
  const skipSpace = () => {
    while (" \t\n\r".includes(text.charAt(position)) && position < text.length) position++;
  };
  skipSpace();
  const open = text.charAt(position);
  const close = open === "[" ? "]" : open === "(" ? ")" : null;
  if (close === null) return null;
  position++;
  const items: string[] = [];
  for (;;) {
    skipSpace();
    if (text.charAt(position) === close) break;
    const item = parsePythonString(text, position);
    if (item === null) return null;
    items.push(item.value);
    position = item.next;
    skipSpace();
    if (text.charAt(position) === ",") position++;
    else if (text.charAt(position) !== close) return null;
  }
  position++;
  skipSpace();
  return position === text.length ? items : null;
}

function parsePythonString(text: string, start: number): { value: string; next: number } | null {
  const quote = text.charAt(start);
  if (quote !== "'" && quote !== '"') return null;
  let value = "";
  let position = start + 1;
  while (position < text.length) {
    const char = text.charAt(position);
    if (char === quote) return { value, next: position + 1 };
    if (char !== "\\") {
      value += char;
      position++;
      continue;
    }
    const kind = text.charAt(position + 1);
    const simple = SIMPLE_ESCAPES[kind];
    const hexLength = HEX_ESCAPE_LENGTH[kind];
    if (simple !== undefined) {
      value += simple;
      position += 2;
    } else if (hexLength !== undefined) {
      const digits = text.slice(position + 2, position + 2 + hexLength);
      const point = /^[0-9a-fA-F]+$/.test(digits) ? parseInt(digits, 16) : Infinity;
      if (digits.length < hexLength || point > 0x10ffff) return null;
      value += String.fromCodePoint(point);
      position += 2 + hexLength;
    } else {
      const octal = /^[0-7]{1,3}/.exec(text.slice(position + 1, position + 4))?.[0];
      if (octal !== undefined) {
        value += String.fromCharCode(parseInt(octal, 8));
        position += 1 + octal.length;
      } else {
        value += char; // Python keeps the backslash of an unknown escape
        position++;
      }
    }
  }
  return null;
}

/** `Linear` of `torch.nn.modules.linear.Linear`; null for `""` and for what is no class name. */
export function shortClassName(qualified: string): string | null {
  const bare = qualified.trim().replace(/^<class '(.*)'>$/, "$1");
  const name = bare.slice(bare.lastIndexOf(".") + 1);
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) ? name : null;
}

/**
 * The scopes in a node's metadata, or null when it has none that parse. A node of the root module
 * itself gives the root's entry alone; a list that names no module at all (as the bodies of
 * `torch.cond` have it) gives null.
 */
export function nameScopesOf(node: NodeProto): NameScopes | null {
  let scopesText: string | null = null;
  let classesText: string | null = null;
  let namespaceText: string | null = null;
  for (const entry of node.metadataProps) {
    if (entry.key === SCOPES_KEY) scopesText = entry.value;
    else if (entry.key === CLASSES_KEY) classesText = entry.value;
    else if (NAMESPACE_KEYS.includes(entry.key)) namespaceText = entry.value;
  }
  const scopes = scopesText === null ? null : parsePythonStringList(scopesText);
  if (scopes !== null) {
    const classes = classesText === null ? null : parsePythonStringList(classesText);
    return withoutOperator(scopes, classes);
  }
  return namespaceText === null ? null : parseNamespace(namespaceText);
}

function withoutOperator(
  scopes: readonly string[],
  classes: readonly string[] | null,
): NameScopes | null {
  if (scopes.length < 2) return null;
  const paths = scopes.slice(0, -1);
  return {
    paths,
    classes: paths.map((_, index) => shortClassName(classes?.[index] ?? "")),
  };
}

/** `: Net/network: Sequential/network.0: Linear/linear: aten.linear.default`. */
function parseNamespace(text: string): NameScopes | null {
  const scopes: string[] = [];
  const classes: string[] = [];
  for (const part of text.split("/")) {
    const colon = part.lastIndexOf(": ");
    if (colon < 0 && !part.endsWith(":")) return null;
    scopes.push(colon < 0 ? part.slice(0, -1) : part.slice(0, colon));
    classes.push(colon < 0 ? "" : part.slice(colon + 2));
  }
  return withoutOperator(scopes, classes);
}
