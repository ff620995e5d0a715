import assert from "node:assert/strict";
import fc from "fast-check";
import { type ModuleSelector, parseSpan, selectModules, selectSpan } from "../../graph/selector.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import { coded, handTree } from "./_module_trees.ts";

const ATTENTION = ["attention", "attention.self", "attention.self.query", "attention.self.key"];

function bert(layers: number) {
  return handTree(
    { path: "embeddings", className: "BertEmbeddings" },
    { path: "encoder", className: "BertEncoder" },
    ...Array.from({ length: layers }, (_, layer) => [
      { path: `encoder.layer.${layer}`, className: "BertLayer" },
      ...ATTENTION.map((name) => ({
        path: `encoder.layer.${layer}.${name}`,
        className: name.endsWith("self")
          ? "BertSelfAttention"
          : name === "attention"
          ? "BertAttention"
          : "Linear",
      })),
    ]).flat(),
    { path: "pooler", className: null },
  );
}

const TREE = bert(12);

function paths(selector: ModuleSelector, allowEmpty = false): string[] {
  return selectModules(TREE, selector, { allowEmpty }).map((module) => module.path);
}

function layers(...numbers: readonly number[]): string[] {
  return numbers.map((number) => `encoder.layer.${number}`);
}

Deno.test("selectModules() takes a path as it is, the empty one as the model itself", () => {
  assert.deepEqual(paths("encoder.layer.1"), layers(1));
  assert.deepEqual(paths(""), [""]);
  const odd = handTree("a[0]", "a*", "!b", "class:c", "/d/");
  for (const path of ["a[0]", "a*", "!b", "class:c", "/d/"]) {
    assert.deepEqual(selectModules(odd, [path]).map((module) => module.path), [path]);
  }
});

Deno.test("selectModules() reads numbers in brackets as numbers", () => {
  assert.deepEqual(paths("encoder.layer.[1-3]"), layers(1, 2, 3));
  assert.deepEqual(paths("encoder.layer.[9-11]"), layers(9, 10, 11));
  assert.deepEqual(paths("**.layer.[0,10]"), layers(0, 10));
});

Deno.test("selectModules() answers in the tree's order, each module once", () => {
  assert.deepEqual(
    paths(["pooler", "encoder.layer.*", "encoder.layer.2", "embeddings"]),
    ["embeddings", ...layers(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), "pooler"],
  );
});

Deno.test("selectModules() never finds the model itself by a pattern", () => {
  const all = TREE.modules.map((module) => module.path).filter((path) => path !== "");
  for (const pattern of ["**", "/^/", "//", "{,**}"]) {
    assert.deepEqual(paths(pattern), all, pattern);
  }
  assert.throws(() => paths("/^$/"), coded("HOOK_MATCH_EMPTY"));
});

Deno.test("F10 selectModules() searches /expressions/ anywhere in the dotted path", () => {
  assert.equal(paths("/query|key/").length, 24);
  assert.equal(paths("/layer\\.1/").length, 15, "layers 1, 10 and 11, as re.search finds them");
  assert.deepEqual(paths("/^encoder\\.layer\\.(?P<n>\\d)$/").length, 10);
  assert.throws(() => paths("/layer.(/"), coded("SELECTOR_SYNTAX", { position: 7 }));
});

Deno.test("XD1 selectModules() finds every module whose path holds a text", () => {
  const wanted = TREE.modules.map((module) => module.path).filter((path) => path.includes("self"));
  assert.deepEqual(paths("**self**"), wanted);
  assert.throws(() => paths("**selv**"), coded("HOOK_MATCH_EMPTY"));
});

Deno.test("selectModules() selects classes exactly or by glob", () => {
  assert.equal(paths("class:BertLayer").length, 12);
  assert.equal(paths("class:*Attention").length, 24);
  assert.equal(paths("class:{Bert*Attention,Linear}").length, 48);
  assert.throws(() => paths("class:Bert"), coded("HOOK_MATCH_EMPTY"), "the whole name counts");
  assert.deepEqual(paths("class:Model"), [""], "the model itself has a class as well");
});

Deno.test("selectModules() leaves out what ! finds, wherever it stands in the list", () => {
  const wanted = layers(0, 1, 3, 4);
  assert.deepEqual(paths(["encoder.layer.[0-4]", "!encoder.layer.2"]), wanted);
  assert.deepEqual(paths(["!encoder.layer.2", "encoder.layer.[0-4]"]), wanted);
  assert.deepEqual(
    paths(["encoder.layer.2", ["encoder.layer.[0-4]", "!encoder.layer.2"]]),
    layers(0, 1, 2, 3, 4),
    "an inner list leaves out of its own finds alone",
  );
  assert.throws(() => paths(["pooler", "!pooler"]), coded("HOOK_MATCH_EMPTY"));
  assert.throws(() => paths(["pooler", "!poolr"]), coded("HOOK_MATCH_EMPTY", { pattern: "poolr" }));
  assert.throws(() => paths(["!pooler"]), coded("SELECTOR_SYNTAX"));
  assert.throws(() => paths("!pooler"), coded("SELECTOR_SYNTAX", { position: 0 }));
});

Deno.test("selectModules() takes functions, which must answer true or false", () => {
  assert.deepEqual(paths((module) => module.parent === null), [""]);
  assert.deepEqual(paths([(module) => module.className === null, "embeddings"]), [
    "embeddings",
    "pooler",
  ]);
  const asynchronous = (() => Promise.resolve(false)) as unknown as () => boolean;
  assert.throws(() => paths(asynchronous), coded("SELECTOR_SYNTAX", { type: "object" }));
  const boom = new Error("boom");
  assert.throws(() =>
    paths(() => {
      throw boom;
    }), (error) => {
    assert.ok(error instanceof HooklineError && error.code === "SELECTOR_SYNTAX");
    assert.match(error.message, /it threw for module "": boom/);
    assert.deepEqual([error.details["module"], error.cause], ["", boom]);
    return true;
  });
  assert.throws(
    () => paths((module) => module.path !== "pooler" || assert.fail("no")),
    coded("SELECTOR_SYNTAX", { module: "pooler" }),
  );
  const failing = (() => Promise.reject(boom)) as unknown as () => boolean;
  assert.throws(() => paths(failing), coded("SELECTOR_SYNTAX", { type: "object" }));
});

Deno.test("I7 selectModules() fails where nothing is found, and shows what is near", () => {
  const cases: readonly (readonly [ModuleSelector, string[]])[] = [
    ["poolar", ["pooler"]],
    ["encoder.layer.12", ["encoder.layer.1", "encoder.layer.10", "encoder.layer.11"]],
    ["embedding.*", ["embeddings"]],
    ["class:BertLayr", ["class:BertLayer"]],
    ["/^poolr$/", ["pooler"]],
    [["embeddings", "poolr"], ["pooler"]],
    [[], []],
    [() => false, []],
  ];
  for (const [selector, nearest] of cases) {
    assert.throws(() => paths(selector), (error) => {
      coded("HOOK_MATCH_EMPTY")(error);
      const given = (error as { details: { nearest: string[] } }).details.nearest;
      assert.deepEqual(nearest.filter((name) => !given.includes(name)), [], String(given));
      return true;
    });
  }
  assert.deepEqual(paths("poolr", true), []);
  assert.deepEqual(paths([], true), []);
  assert.deepEqual(paths(["poolr", "embeddings", "!xyz"], true), ["embeddings"]);
  assert.deepEqual(selectModules(handTree(), "*", { allowEmpty: true }), []);
});

Deno.test("selectModules() refuses what is no selector", () => {
  for (const wrong of [/attn/, 3, null, undefined, { path: "a" }]) {
    assert.throws(() => paths(wrong as unknown as string), coded("SELECTOR_SYNTAX"));
    assert.throws(() => paths(["**", wrong as unknown as string]), coded("SELECTOR_SYNTAX"));
  }
  assert.throws(() => paths("a".repeat(1001)), coded("SELECTOR_SYNTAX", { position: 1000 }));
  assert.throws(() => paths("class:"), coded("SELECTOR_SYNTAX", { position: 6 }));
  assert.throws(() => paths("class:*["), coded("SELECTOR_SYNTAX", { position: 7 }));
  let nested: ModuleSelector = "**";
  for (let depth = 0; depth < 40; depth++) nested = [nested];
  assert.throws(() => paths(nested), coded("SELECTOR_SYNTAX"));
});

Deno.test("selectModules() throws HooklineError or answers, whatever the text", () => {
  const letter = fc.constantFrom(..."ab.*?{},[]-01/!\\()+|^$:");
  fc.assert(
    fc.property(fc.array(letter, { maxLength: 12 }), (letters) => {
      try {
        selectModules(TREE, letters.join(""), { allowEmpty: true });
      } catch (error) {
        coded("SELECTOR_SYNTAX")(error);
      }
    }),
    { numRuns: 3000 },
  );
});

Deno.test("parseSpan() reads the numeric form and nothing else", () => {
  assert.deepEqual(parseSpan("h.[1-11]"), { prefix: "h.", first: 1, last: 11, suffix: "" });
  assert.deepEqual(parseSpan("a.layer_[0-2].x"), {
    prefix: "a.layer_",
    first: 0,
    last: 2,
    suffix: ".x",
  });
  for (const text of ["h", "h.*", "h.[1,2]", "h.[1-2].*", "/h[1-2]/", "class:A[1-2]", "!h.[1-2]"]) {
    assert.equal(parseSpan(text), null, text);
  }
  assert.throws(() => parseSpan("h.[11-1]"), coded("SELECTOR_SYNTAX", { position: 2 }));
});

Deno.test("selectSpan() takes neighbours in execution order", () => {
  const span = (selector: ModuleSelector, tree = TREE) =>
    selectSpan(tree, selector).map((module) => module.path);
  assert.deepEqual(span("encoder.layer.[1-3]"), layers(1, 2, 3));
  assert.deepEqual(span(["encoder.layer.3", "encoder.layer.2"]), layers(2, 3));
  assert.deepEqual(span("encoder.layer.[0-11]").length, 12);
  assert.deepEqual(span("pooler"), ["pooler"]);
  assert.deepEqual(span(""), [""]);
  const flat = handTree("wte", "h.0", "h.1", { path: "drop", calls: [] }, "h.2", "ln_f");
  assert.deepEqual(span("h.[0-2]", flat), ["h.0", "h.1", "h.2"], "what never runs is not between");
  assert.deepEqual(span("{h.2,ln_f}", flat), ["h.2", "ln_f"]);
});

Deno.test("selectSpan() refuses what is no run of neighbours", () => {
  const refused = (selector: ModuleSelector, message: string, tree = TREE) =>
    assert.throws(() => selectSpan(tree, selector), coded("MODULE_SPAN_INVALID", {}, message));
  refused(["encoder.layer.1", "encoder.layer.3"], '"encoder.layer.2" runs between');
  refused("encoder.layer.[1-12]", "names 12 modules, the model has 11 of them");
  refused("encoder.**", "does not lie beside");
  refused(["encoder", "encoder.layer.0"], "does not lie beside");
  const call = TREE.modules[0]?.calls[0];
  assert.ok(call);
  refused("h.[0-1]", "is called 2 times", handTree("h.0", { path: "h.1", calls: [call, call] }));
  refused("h.[0-1]", "does not lie beside", handTree("h.0", { path: "h.1", insideBody: "If_3" }));
  assert.throws(() => selectSpan(TREE, "h.[0-1]"), coded("HOOK_MATCH_EMPTY"));
  assert.throws(() => selectSpan(TREE, "encoder.layer.[3-1]"), coded("SELECTOR_SYNTAX"));
});
