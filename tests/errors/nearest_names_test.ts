import assert from "node:assert/strict";
import { nearestNames } from "../../errors/nearest_names.ts";

const NAMES = ["encoder.layer.0", "encoder.layer.1", "decoder", "pooler", "pooler.dense"];

Deno.test("nearestNames() finds the misspelt name first", () => {
  assert.equal(nearestNames("poler", NAMES)[0], "pooler");
  assert.equal(nearestNames("encoder.layer.10", NAMES)[0], "encoder.layer.0");
});

Deno.test("nearestNames() counts a name that contains the wanted text as near", () => {
  assert.deepEqual(nearestNames("dense", NAMES), ["pooler.dense"]);
});

Deno.test("nearestNames() gives nothing when nothing is near", () => {
  assert.deepEqual(nearestNames("zzzzzzzz", NAMES), []);
});

Deno.test("nearestNames() breaks ties by code unit order, whatever the order of the names", () => {
  assert.deepEqual(nearestNames("ab", ["ad", "ac"]), ["ac", "ad"]);
  assert.deepEqual(nearestNames("ab", ["ac", "ad"]), ["ac", "ad"]);
});

Deno.test("nearestNames() keeps to the count that was asked for", () => {
  assert.equal(nearestNames("encoder.layer.2", NAMES, 1).length, 1);
});

Deno.test("nearestNames() never offers the empty name, which the model itself has", () => {
  assert.deepEqual(nearestNames("ab", ["", "ac"]), ["ac"]);
});
