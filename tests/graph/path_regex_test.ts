import assert from "node:assert/strict";
import { parsePathRegex } from "../../graph/path_regex.ts";
import { coded } from "./_module_trees.ts";

function found(pattern: string, text: string): boolean {
  return parsePathRegex(pattern).test(text);
}

Deno.test("parsePathRegex() searches anywhere, case counts unless the flag says otherwise", () => {
  assert.ok(found("/attn/", "h.0.attn.q"));
  assert.ok(!found("/Attn/", "h.0.attn.q"));
  assert.ok(found("/Attn/i", "h.0.attn.q"));
  assert.ok(found("/^h\\.\\d+$/", "h.11"));
  assert.ok(!found("/^h\\.\\d+$/", "h.11.x"));
  assert.ok(found("//", "anything"));
  assert.ok(found("/a/b/", "x.a/b"), "the last slash ends the expression");
});

Deno.test("parsePathRegex() reads Python's spellings", () => {
  assert.ok(found("/(?P<n>\\d)\\.(?P=n)$/", "h.3.3"));
  assert.ok(!found("/(?P<n>\\d)\\.(?P=n)$/", "h.3.4"));
  assert.ok(found("/(?i)ATTN/", "h.attn"));
  assert.ok(found("/\\Ah\\.0\\Z/", "h.0"));
  assert.ok(!found("/\\Ah/m", "x\nh"));
  assert.ok(found("/^h{,2}$/", "hh"));
  assert.ok(!found("/^h{,2}$/", "hhh"));
  assert.ok(found("/ln\\_1\\-x/", "ln_1-x"), "letters escaped without need");
  assert.ok(found("/a[]\\_b]c/", "a]c"), "a first ] is a letter");
  assert.ok(!found("/a[^]]c/", "a]c"));
  assert.ok(found("/^x{}]$/", "x{}]"), "braces that count nothing are letters");
  assert.ok(found("/a\\x2eb/", "a.b"));
  assert.ok(found("/(?<=h\\.)3\\b(?!\\.)/", "h.3"));
});

Deno.test("parsePathRegex() reports SELECTOR_SYNTAX with the position", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["/attn", 0],
    ["/", 0],
    ["/encoder/attn", 9],
    ["/a/g", 3],
    ["/a/ii", 3],
    ["/a(b/", 2],
    ["/a)b/", 2],
    ["/a[b/", 2],
    ["/a\\/", 2],
    ["/(?>a)/", 1],
    ["/(?#x)a/", 1],
    ["/*a/", 1],
    ["/a**/", 1],
    ["/a{3,1}/", 1],
    ["/[b-a]/", 1],
    ["/\\j/", 1],
  ];
  for (const [pattern, position] of cases) {
    assert.throws(() => parsePathRegex(pattern), coded("SELECTOR_SYNTAX", { position }), pattern);
  }
});

Deno.test("parsePathRegex() refuses repeated groups of nothing but repetitions", () => {
  const refused = [
    "/(\\w+)+$/",
    "/(\\w*)*x/",
    "/(?:a+)*b/",
    "/([a-z]+)+!/",
    "/(\\w+_?)+x/",
    "/((a+))+/",
    "/(a|b+)+/",
    "/(\\w+){20}/",
    "/(?:(?:\\w+)?)*x/",
    "/(.*)+/",
    "/(\\w{2,}){3,}/",
  ];
  for (const pattern of refused) {
    assert.throws(
      () => parsePathRegex(pattern),
      coded("SELECTOR_SYNTAX", { position: 1 }),
      pattern,
    );
  }
  const allowed = [
    "/(\\w+\\.)+attn/",
    "/(?:h\\.\\d+\\.)*q/",
    "/(?:a+){2}/",
    "/(a+)?b+/",
    "/(ab|cd)+/",
    "/(\\d{10})+/",
    "/(?=a+)b/",
    "/encoder.*layer.*query/",
  ];
  for (const pattern of allowed) parsePathRegex(pattern);
});
