import assert from "node:assert/strict";
import {
  childPath,
  commonAncestor,
  isWithin,
  lastComponent,
  parentPath,
  pathAndAncestors,
  pathComponents,
  pathDepth,
} from "../../graph/module_path.ts";

Deno.test("parentPath() and childPath() go up and down one component", () => {
  assert.equal(parentPath("encoder.layer.0"), "encoder.layer");
  assert.equal(parentPath("encoder"), "");
  assert.equal(parentPath(""), null);
  assert.equal(childPath("encoder", "layer"), "encoder.layer");
  assert.equal(childPath("", "encoder"), "encoder");
  assert.equal(lastComponent("a.b.c"), "c");
});

Deno.test("isWithin() compares components, not text", () => {
  assert.equal(isWithin("layer.10", "layer.1"), false);
  assert.equal(isWithin("layer.1.dense", "layer.1"), true);
  assert.equal(isWithin("layer.1", "layer.1"), true);
  assert.equal(isWithin("layer.1", ""), true);
  assert.equal(isWithin("", "layer"), false);
});

Deno.test("commonAncestor() is the deepest path around both", () => {
  assert.equal(commonAncestor("a.b.c", "a.b.d"), "a.b");
  assert.equal(commonAncestor("a.b", "a.b.d"), "a.b");
  assert.equal(commonAncestor("layer.1", "layer.10"), "layer");
  assert.equal(commonAncestor("a", "b"), "");
});

Deno.test("pathAndAncestors() begins with the root", () => {
  assert.deepEqual(pathAndAncestors("a.b.c"), ["", "a", "a.b", "a.b.c"]);
  assert.deepEqual(pathAndAncestors(""), [""]);
  assert.deepEqual(pathComponents(""), []);
  assert.equal(pathDepth(""), 0);
  assert.equal(pathDepth("a.b.c"), 3);
});
