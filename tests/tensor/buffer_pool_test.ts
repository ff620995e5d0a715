import assert from "node:assert/strict";
import { BufferPool } from "../../tensor/buffer_pool.ts";

Deno.test("BufferPool.take() hands out what was given, and only in its own length", () => {
  const pool = new BufferPool(100);
  const first = pool.take(40);
  assert.equal(first.byteLength, 40);
  pool.give(first);
  assert.equal(pool.idleBytes, 40);
  assert.notEqual(pool.take(41), first);
  assert.equal(pool.take(40), first);
  assert.equal(pool.idleBytes, 0);
  assert.notEqual(pool.take(40), first);
});

Deno.test("BufferPool.give() frees the lengths that were given longest ago beyond its limit", () => {
  const pool = new BufferPool(100);
  const [old, older, young] = [pool.take(30), pool.take(40), pool.take(50)];
  pool.give(older);
  pool.give(old);
  pool.give(young);
  assert.equal(older.detached, true);
  assert.deepEqual([old.detached, young.detached], [false, false]);
  assert.equal(pool.idleBytes, 80);
  assert.equal(pool.take(50), young);
});

Deno.test("BufferPool.give() counts a length as young again, however old others of it are", () => {
  const pool = new BufferPool(100);
  const [a, b, c] = [pool.take(40), pool.take(30), pool.take(40)];
  pool.give(a);
  pool.give(b);
  pool.give(c);
  assert.deepEqual([a.detached, b.detached, c.detached], [false, true, false]);
});

Deno.test("BufferPool.give() keeps nothing longer than its limit, and nothing that has no bytes", () => {
  const pool = new BufferPool(100);
  const [long, short] = [pool.take(101), pool.take(20)];
  pool.give(short);
  pool.give(long);
  assert.equal(long.detached, true);
  assert.equal(pool.take(20), short);
  const gone = pool.take(10);
  gone.transfer();
  pool.give(gone);
  pool.give(pool.take(0));
  assert.equal(pool.idleBytes, 0);
  assert.equal(pool.take(10).byteLength, 10);
});
