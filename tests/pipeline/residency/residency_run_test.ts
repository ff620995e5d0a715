import assert from "node:assert/strict";
import { BlockHolds } from "../../../pipeline/residency/block_holds.ts";
import { ResidencyRun } from "../../../pipeline/residency/residency_run.ts";

interface Recorded {
  readonly log: string[];
  readonly holds: BlockHolds;
  readonly run: ResidencyRun;
}

function recorded(modules: readonly string[], ahead: number, failing = ""): Recorded {
  const log: string[] = [];
  const holds = new BlockHolds({
    fetch: (module) => {
      log.push(`+${module}`);
      return module === failing ? Promise.reject(new Error("no disk")) : Promise.resolve();
    },
    release: (module) => {
      log.push(`-${module}`);
      return Promise.resolve();
    },
  });
  return { log, holds, run: new ResidencyRun({ modules, ahead, holds }) };
}

const near = async ({ run, log }: Recorded, module: string): Promise<void> =>
  await run.around(module, () => {
    log.push(module);
    return Promise.resolve();
  });

Deno.test("ResidencyRun fetches ahead, runs, and lets go behind", async () => {
  const made = recorded(["a", "b", "c"], 1);
  made.run.begin();
  for (const module of ["a", "b", "c"]) await near(made, module);
  await made.run.end();
  assert.deepEqual(made.log, ["+a", "+b", "a", "-a", "+c", "b", "-b", "c", "-c"]);
  assert.equal(made.holds.size, 0);
});

Deno.test("ResidencyRun lets modules pass in a row: behind the one that computes all is let go of", async () => {
  const made = recorded(["a", "b", "c", "d", "e"], 1);
  made.run.begin();
  // Each is announced while the one before it computes.
  for (const module of ["a", "b", "c", "d", "e"]) {
    await made.run.pass(module);
    made.log.push(module);
    assert.ok(made.holds.size <= 3, `${made.holds.size} modules held at ${module}`);
  }
  await made.run.pass(null); // the last one computes
  assert.equal(made.holds.size, 1);
  await made.run.end();
  const before = (first: string, then: string) =>
    assert.ok(made.log.indexOf(first) < made.log.indexOf(then), `${first} after ${then}`);
  for (const [behind, fetched, next] of ["abc", "bcd", "cde"]) {
    before(`+${fetched}`, `${fetched}`);
    before(`-${behind}`, `${next}`); // it has computed when the next but one is announced
  }
  assert.equal(made.holds.size, 0);
});

Deno.test("ResidencyRun fetches as far ahead of a row as it is told, and passes again after a failure", async () => {
  const made = recorded(["a", "b", "c", "d"], 2);
  made.run.begin();
  await made.run.pass("a");
  await made.run.pass("b");
  assert.deepEqual(made.log, ["+a", "+b", "+c"]);
  await made.run.pass("a"); // the row begins anew
  await made.run.pass("b");
  await near(made, "c");
  await made.run.end();
  assert.equal(made.holds.size, 0);
  const failing = recorded(["a", "b"], 1, "b");
  failing.run.begin();
  await failing.run.pass("a");
  await assert.rejects(failing.run.pass("b"), { message: "no disk" });
  await failing.run.end();
  assert.equal(failing.holds.size, 0);
});

Deno.test("ResidencyRun fetches nothing ahead when it is not to", async () => {
  const made = recorded(["a", "b"], 0);
  made.run.begin();
  for (const module of ["a", "b"]) await near(made, module);
  await made.run.end();
  assert.deepEqual(made.log, ["+a", "a", "-a", "+b", "b", "-b"]);
});

Deno.test("ResidencyRun lets go of what was fetched and skipped", async () => {
  const made = recorded(["a", "b", "c", "d"], 2);
  made.run.begin();
  await near(made, "a");
  await near(made, "d");
  await made.run.end();
  const gone = made.log.filter((line) => line.startsWith("-")).sort();
  assert.deepEqual(gone, ["-a", "-b", "-c", "-d"]);
  assert.ok(made.log.indexOf("-b") < made.log.indexOf("d"), "before the next block runs");
  assert.equal(made.holds.size, 0);
});

Deno.test("ResidencyRun runs a module twice, and one that is called at several places", async () => {
  const made = recorded(["a", "b", "a"], 1);
  made.run.begin();
  for (const module of ["a", "a", "b", "a", "a"]) await near(made, module);
  await made.run.end();
  assert.equal(made.log.filter((line) => line === "a").length, 4);
  assert.equal(made.holds.size, 0);
});

Deno.test("ResidencyRun holds nothing after a failure, of the module or of its weights", async () => {
  const broken = recorded(["a", "b"], 1);
  broken.run.begin();
  await assert.rejects(broken.run.around("a", () => Promise.reject(new Error("broken"))), /broken/);
  await broken.run.end();
  assert.equal(broken.holds.size, 0);

  const unread = recorded(["a", "b"], 1, "b");
  unread.run.begin();
  await near(unread, "a");
  await assert.rejects(near(unread, "b"), /no disk/);
  await unread.run.end();
  assert.equal(unread.holds.size, 0);
  assert.ok(!unread.log.includes("b"));
});

Deno.test("ResidencyRun fetches nothing more once it has ended", async () => {
  const made = recorded(["a", "b"], 2);
  await made.run.end();
  made.run.begin();
  assert.deepEqual(made.log, []);
});
