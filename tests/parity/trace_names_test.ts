import assert from "node:assert/strict";
import { applyRule, guessPrefixes, NameTable, parseNameRules } from "../../parity/trace_names.ts";

const rule = (reference: string, candidate: string) => ({
  reference,
  candidate,
  by: "map" as const,
});
const guess = (reference: readonly string[], candidate: readonly string[]) =>
  guessPrefixes(new Set(reference), new Set(candidate));
const LAYERS = ["h.0.ln", "h.0.mlp", "h.1.ln", "h.1.mlp"];
const below = (prefix: string, paths: readonly string[] = LAYERS) =>
  paths.map((path) => `${prefix}.${path}`);

Deno.test("parseNameRules() reads OLD=NEW, the most special prefix first", () => {
  assert.deepEqual(parseNameRules(["a=b", "a.x=b.long.one", "model.="]), [
    rule("a.x", "b.long.one"),
    rule("a", "b"),
    rule("model", ""),
  ]);
});

Deno.test("parseNameRules() refuses what is no rename", () => {
  for (const texts of [["a"], ["="], ["a=a"], ["a=b=c"], ["a b=c"], ["a=c", "b=c"]]) {
    assert.throws(() => parseNameRules(texts), { code: "OPTION_INVALID" }, texts.join());
  }
});

Deno.test("applyRule() works on whole words of a path", () => {
  assert.equal(applyRule(rule("t.h", "m"), "m.0.x"), "t.h.0.x");
  assert.equal(applyRule(rule("t.h", "m"), "m"), "t.h");
  assert.equal(applyRule(rule("t.h", "m"), "model.0"), null);
  assert.equal(applyRule(rule("", "m"), "m.0"), "0");
  assert.equal(applyRule(rule("", "m"), "m"), null);
  assert.equal(applyRule(rule("t", ""), "h.0"), "t.h.0");
});

Deno.test("guessPrefixes() finds a prefix that one side has alone", () => {
  const on = (reference: string, candidate: string) => ({
    rules: [{ reference, candidate, by: "prefix" }],
    ambiguous: null,
  });
  assert.deepEqual(guess(below("transformer"), LAYERS), on("transformer", ""));
  assert.deepEqual(guess(LAYERS, below("transformer")), on("", "transformer"));
  assert.deepEqual(guess([...below("a.b"), "lm_head"], [...LAYERS, "lm_head"]), on("a.b", ""));
  assert.deepEqual(guess(below("transformer"), below("model")), on("transformer", "model"));
});

Deno.test("guessPrefixes() finds several prefixes", () => {
  const { rules } = guess(
    [...below("text"), ...below("vision", ["conv", "norm", "proj"])],
    [...LAYERS, ...below("v", ["conv", "norm", "proj"])],
  );
  assert.deepEqual(rules.map(({ reference, candidate }) => [reference, candidate]), [
    ["text", ""],
    ["vision", "v"],
  ]);
});

Deno.test("guessPrefixes() guesses nothing where names are merely similar", () => {
  assert.deepEqual(guess(LAYERS, LAYERS).rules, []);
  assert.deepEqual(guess(below("h.0"), below("h.1")).rules, []);
  assert.deepEqual(guess(["encoder.norm", "a", "b"], ["norm", "c", "d"]).rules, []);
  assert.deepEqual(guess([], LAYERS).rules, []);
});

Deno.test("guessPrefixes() says when two prefixes would do", () => {
  const { rules, ambiguous } = guess([...below("encoder"), ...below("decoder")], LAYERS);
  assert.deepEqual(rules, []);
  assert.equal(ambiguous, '"decoder" or "encoder"');
});

Deno.test("NameTable.rename() prefers the caller's rules, then the name itself, then the guess", () => {
  const names = new NameTable([rule("x", "y")], new Set([...below("t"), "x.1", "lm_head"]));
  names.guess(new Set([...LAYERS, "y.1", "lm_head"]));
  const seen = () => false;
  assert.equal(names.rename("y.1", seen), "x.1");
  assert.equal(names.rename("lm_head", seen), "lm_head");
  assert.equal(names.rename("h.1.mlp", seen), "t.h.1.mlp");
  assert.equal(names.rename("other", seen), "other");
  assert.equal(names.rename("late", (path) => path === "t.late"), "t.late");
  assert.deepEqual(names.uses, [1, 2]);
});
