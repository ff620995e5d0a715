import assert from "node:assert/strict";
import { type Placed, placeOrder } from "../../pipeline/place_order.ts";

interface Item extends Placed<Item> {
  readonly name: string;
  readonly hard: Set<Item>;
  readonly soft: Set<Item>;
}

/** Items placed by their letters: `b>a` after a, `b~a` rather after a. */
function order(names: string, ...edges: readonly string[]) {
  const items = new Map([...names].map((name, index): [string, Item] => [
    name,
    { name, place: [index], hard: new Set(), soft: new Set() },
  ]));
  for (const [later = "", kind, earlier = ""] of edges) {
    const [from, to] = [items.get(earlier), items.get(later)];
    if (from !== undefined) (kind === ">" ? to?.hard : to?.soft)?.add(from);
  }
  const { order: found, stuck } = placeOrder([...items.values()].reverse());
  const text = (list: readonly Item[]) => list.map(({ name }) => name).join("");
  return stuck.length === 0 ? text(found) : `stuck: ${text(stuck)}`;
}

Deno.test("placeOrder() keeps the places where edges allow it", () => {
  assert.equal(order("abcd"), "abcd");
  assert.equal(order("abcd", "b>a", "d>a", "d~c"), "abcd");
  assert.equal(order("abcd", "a>c"), "bcad");
  assert.equal(order("abcd", "a~d", "b>a"), "cdab");
});

Deno.test("placeOrder() gives soft edges up where they close a circle, and hard ones never", () => {
  assert.equal(order("abcd", "a~b", "b~a"), "cdab");
  assert.equal(order("abcd", "a~b", "b>a"), "cdab");
  assert.equal(order("abcd", "a~d", "d~a", "c>a"), "bacd");
  assert.equal(order("abcd", "a>b", "b>a"), "stuck: ab");
  assert.equal(
    order("abcd", "a>b", "b>a", "d~a"),
    "stuck: ab",
    "what only wanted to wait is placed",
  );
});

Deno.test("placeOrder() compares places number by number, a prefix first", () => {
  const item = (...place: readonly number[]) => ({
    place,
    hard: new Set<never>(),
    soft: new Set<never>(),
  });
  const placed = [item(2), item(1, Infinity), item(1), item(1, 5, -1), item(1, -1), item(1, 5)];
  assert.deepEqual(placeOrder<Placed<never>>(placed as never).order.map(({ place }) => place), [
    [1],
    [1, -1],
    [1, 5],
    [1, 5, -1],
    [1, Infinity],
    [2],
  ]);
});
