import assert from "node:assert/strict";
import fc from "fast-check";
import { parsePathGlob } from "../../graph/path_glob.ts";
import { coded } from "./_module_trees.ts";

function check(glob: string, yes: readonly string[], no: readonly string[]): void {
  const parsed = parsePathGlob(glob);
  for (const text of yes) assert.ok(parsed.matches(text), `"${glob}" should match "${text}"`);
  for (const text of no) assert.ok(!parsed.matches(text), `"${glob}" should not match "${text}"`);
}

Deno.test("parsePathGlob() keeps * and ? within a segment", () => {
  check("h.*", ["h.0", "h.12", "h.attn"], ["h", "h.0.attn", "gh.0"]);
  check("*.ln_?", ["h.ln_1", "x.ln_f"], ["h.0.ln_1", "h.ln_", "h.ln_12"]);
  check("h.*.attn", ["h.0.attn"], ["h.0.1.attn"]);
  check("en*er", ["encoder", "ener"], ["en.er", "encoders"]);
});

Deno.test("parsePathGlob() lets ** cross segments", () => {
  check("**", ["a", "a.b.c"], []);
  check("**.query", ["query", "a.query", "a.b.query"], ["a.subquery", "query.a", "xquery"]);
  check("encoder.**", ["encoder.a", "encoder.a.b"], ["encoder", "encoders.a"]);
  check("a.**.z", ["a.z", "a.b.z", "a.b.c.z"], ["a.bz", "az", "a.z.b", "xa.z"]);
  check("**attn**", ["attn", "h.0.attn", "h.0.attn.q", "crossattn2"], ["h.0.mlp"]);
  check("a.**.b.**.c", ["a.b.c", "a.x.b.y.c", "a.b.b.c.c"], ["a.c", "a.b", "a.b.xc"]);
  check("a.***.z", ["a.z", "a.b.c.z"], ["az"]);
  check("enc**z", ["encoder.a.z", "encz"], ["enc.a"]);
});

Deno.test("parsePathGlob() reads braces as alternatives", () => {
  check("{q,k,v}_proj", ["q_proj", "k_proj", "v_proj"], ["o_proj", "{q,k,v}_proj"]);
  check("{encoder,decoder.block}.0", ["encoder.0", "decoder.block.0"], ["decoder.0"]);
  check("a{,.b{1,2}}", ["a", "a.b1", "a.b2"], ["a.b", "a."]);
  check("{**,x}.q", ["q", "a.q", "x.q"], ["aq"]);
});

Deno.test("parsePathGlob() compares bracketed numbers as numbers", () => {
  check("h.[1-11]", ["h.1", "h.9", "h.10", "h.11"], ["h.0", "h.12", "h.111", "h.1a", "h.-1", "h."]);
  check("h.[0,2,4-6]", ["h.0", "h.2", "h.5"], ["h.1", "h.3", "h.7", "h.02x", "h.10"]);
  check("layer_[0-2].mlp", ["layer_0.mlp", "layer_02.mlp"], ["layer_12.mlp", "layer_3.mlp"]);
  check("h.[3]", ["h.3", "h.03"], ["h.33"]);
  fc.assert(fc.property(fc.nat(300), fc.nat(300), fc.nat(300), (left, right, value) => {
    const [first, last] = [Math.min(left, right), Math.max(left, right)];
    const found = parsePathGlob(`h.[${first}-${last}]`).matches(`h.${value}`);
    assert.equal(found, first <= value && value <= last);
  }));
});

Deno.test("parsePathGlob() takes the letter after a backslash as it is", () => {
  check("a\\*b", ["a*b"], ["axb"]);
  check("a\\[0\\]\\{\\}\\\\", ["a[0]{}\\"], []);
  fc.assert(fc.property(fc.string({ minLength: 1, maxLength: 12 }), (text) => {
    const escaped = [...text].map((letter) => `\\${letter}`).join("");
    if (![...text].every((letter) => letter.length === 1)) return;
    assert.ok(parsePathGlob(escaped).matches(text));
    assert.ok(!parsePathGlob(escaped).matches(`${text}x`));
  }));
});

Deno.test("parsePathGlob() treats dots of class names as letters", () => {
  const options = { isDotted: false };
  assert.ok(parsePathGlob("*.Linear", options).matches("torch.nn.Linear"));
  assert.ok(parsePathGlob("*Attention", options).matches("nn.SelfAttention"));
  assert.ok(parsePathGlob("a..b", options).matches("a..b"));
});

Deno.test("parsePathGlob() reports SELECTOR_SYNTAX with the position", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["h.[1-3", 2],
    ["h.[3-1]", 2],
    ["h.[]", 2],
    ["h.[abc]", 2],
    ["h.[1-]", 2],
    ["h.1[0-9]", 3],
    ["h.[0-9]1", 2],
    ["h.[0-9][0-9]", 2],
    ["h.1]", 3],
    ["a.{b,c", 2],
    ["a.{b,{c}", 2],
    ["a}", 1],
    ["a..b", 1],
    [".a", 0],
    ["a.", 1],
    ["{a,}.b", 4],
    ["a\\", 1],
    ["{".repeat(40) + "}".repeat(40), 32],
    ["{a,b,c,d,e,f,g,h,i,j}".repeat(4), 63],
  ];
  for (const [glob, position] of cases) {
    assert.throws(() => parsePathGlob(glob), coded("SELECTOR_SYNTAX", { position }), glob);
  }
  assert.throws(
    () => parsePathGlob("*[", { pattern: "class:*[", offset: 6 }),
    coded("SELECTOR_SYNTAX", { position: 7, pattern: "class:*[" }),
  );
});

Deno.test("parsePathGlob() takes no more time for many stars than their number times the text", () => {
  const glob = parsePathGlob(`${"*a".repeat(100)}!`);
  assert.ok(!glob.matches("a".repeat(2000)));
  assert.ok(!parsePathGlob(`${"**.".repeat(60)}x`).matches("a.".repeat(500)));
});

Deno.test("parsePathGlob() agrees with the same pattern as a regular expression", () => {
  const piece = fc.constantFrom("a", "b", ".", "*", "?", "1", "**");
  const text = fc.array(fc.constantFrom("a", "b", ".", "1"), { maxLength: 10 });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 7 }), text, (pieces, letters) => {
      const glob = pieces.join("").replace(/\*{3,}/g, "**");
      if (/^\.|\.\.|\.$/.test(glob)) return;
      const source = glob.replace(/(^|\.)\*\*\.|\*\*|\*|\?|\./g, (found, before) => {
        if (found === "**") return ".*";
        if (found === "*") return "[^.]*";
        if (found === "?") return "[^.]";
        if (found === ".") return "\\.";
        return `${before === "." ? "\\." : ""}(?:.*\\.)?`;
      });
      // A ** of its own right behind another shares its dot with it; the expression cannot say that.
      if (/\*\*\.\*\*\./.test(glob)) return;
      const wanted = new RegExp(`^${source}$`).test(letters.join(""));
      assert.equal(parsePathGlob(glob).matches(letters.join("")), wanted, `${glob} ${source}`);
    }),
    { numRuns: 2000 },
  );
});
