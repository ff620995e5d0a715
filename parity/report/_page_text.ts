// How names and data of unknown origin get into a page. Names come from model files: one may be called
// `<script>`, hold quotes, line ends, or the control characters that turn the direction of text.

import { toJson } from "../../formats/json_numbers.ts";
import type { Words } from "./_report_content.ts";

/** The longest name that a page shows. */
const NAME_LIMIT = 400;
/** Control and format characters, line separators, halves of surrogate pairs: nothing that is seen. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as a reader can see it: what has no shape is written as `\u{202e}`. */
export function visibleText(text: string): string {
  return text.replaceAll(UNSEEN, (found) => `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The same for a name, which is cut when it is too long. */
export function visibleName(name: string): string {
  return visibleText(name.length > NAME_LIMIT ? `${name.slice(0, NAME_LIMIT)}…` : name);
}

/** The same for every text in a report: what its maker forgot is made visible here. */
export function visibleContent<Value>(value: Value): Value {
  if (typeof value === "string") return visibleText(value) as Value;
  if (Array.isArray(value)) return value.map((item) => visibleContent<unknown>(item)) as Value;
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([key, item]) => [key, visibleContent<unknown>(item)]);
  return Object.fromEntries(entries) as Value;
}

/** Text for an element or an attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (found) => ENTITIES[found] ?? "");
}

/** A sentence as HTML. */
export function wordsHtml(words: Words): string {
  return words.map((word) =>
    typeof word === "string"
      ? escapeHtml(word)
      : `<code>${escapeHtml(visibleName(word.name))}</code>`
  ).join("");
}

/** A sentence as text. */
export function wordsText(words: Words): string {
  return words.map((word) => typeof word === "string" ? word : visibleName(word.name)).join("");
}

/** JSON that may stand in a `<script>` element: nothing in it ends the element or opens a comment. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(toJson(value)).replaceAll(
    /[<>&\u2028\u2029]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `3 modules`, `1 module`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
