// The comparison of printed output: exact where it must be, open where the page says so.

import assert from "node:assert/strict";
import { outputMatches } from "./output_match.ts";

const MATCHES: readonly (readonly [string, string, string])[] = [
  ["equal text", "a\nb\n", "a\nb"],
  ["trailing blanks and blank ends", "\na  \nb\n\n", "a\nb"],
  ["elapsed times", "ran in 12.3 ms, 4s", "ran in 9 ms, 1.5s"],
  ["a time's width in a table", "layer.0     3.1 ms  ok", "layer.0  12.25 ms ok"],
  ["elapsedMs of JSON", '{"elapsedMs":12.5,"a":1}', '{"elapsedMs":3,"a":1}'],
  ["a wildcard line for many", "a\nb\nc\nd", "a\n…\nd"],
  ["a wildcard line for none", "a\nd", "a\n…\nd"],
  ["a wildcard line at the end", "a\nb\nc", "a\n…"],
  ["a wildcard inside a line", "hash 12ab34 ok", "hash … ok"],
  ["pattern characters as text", "h.[1-11] (a|b)* $x", "h.[1-11] (a|b)* $x"],
  ["Deno's own lines", "Task hookline deno run main.ts\na", "a"],
  ["colours", "\x1b[32mok\x1b[0m", "ok"],
];

const DIFFERS: readonly (readonly [string, string, string])[] = [
  ["other text", "a\nb", "a\nc"],
  ["a missing line", "a", "a\nb"],
  ["an extra line", "a\nb", "a"],
  ["other indentation", "  a", "a x"],
  ["a number that is no time", "12 tensors", "13 tensors"],
  ["a wildcard inside a line over two lines", "a\nb", "a…b"],
  ["a dot for any character", "axb", "a.b"],
];

for (const [what, actual, expected] of MATCHES) {
  Deno.test(`outputMatches() accepts ${what}`, () => assert.ok(outputMatches(actual, expected)));
}

for (const [what, actual, expected] of DIFFERS) {
  Deno.test(`outputMatches() refuses ${what}`, () => assert.ok(!outputMatches(actual, expected)));
}
