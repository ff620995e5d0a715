import assert from "node:assert/strict";
import {
  openSegment,
  segmentOpening,
  type SessionHost,
  sessionSettings,
} from "../../pipeline/segment_opening.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";
import { SpyEngine } from "./_spy_engine.ts";

const HOST: SessionHost = {
  structure: new ModelStructure(chainModel()),
  engine: new SpyEngine(),
  provider: "cpu",
  optimization: "all",
  threads: 3,
};
const FACTS = { source: HOST.structure.wholeSource, label: "chain", byteLength: 10 };

Deno.test("segmentOpening() has equal keys for sessions that can stand for one another", () => {
  const plain = segmentOpening(HOST, FACTS);
  assert.equal(segmentOpening(HOST, { ...FACTS, label: "other" }).key, plain.key);
  assert.notEqual(segmentOpening(HOST, FACTS, { prepacking: false }).key, plain.key);
  assert.notEqual(segmentOpening(HOST, FACTS, { optimization: "basic" }).key, plain.key);
  const bytes = Uint8Array.of(1);
  const source = { kind: "bytes", bytes, weightFolder: null } as const;
  assert.notEqual(segmentOpening(HOST, { ...FACTS, source }).key, plain.key);
});

Deno.test("sessionSettings() are the model's, changed where the opening says so", () => {
  const settings = sessionSettings(HOST, segmentOpening(HOST, FACTS, { prepacking: false }));
  assert.deepEqual({ ...settings }, {
    provider: "cpu",
    optimization: "all",
    threads: 3,
    prepacking: false,
    arena: "shared",
    label: "chain",
  });
  assert.equal(sessionSettings(HOST, segmentOpening(HOST, FACTS, { isWhole: true })).arena, true);
});

Deno.test("openSegment() opens a session", async () => {
  await using session = await openSegment(HOST, segmentOpening(HOST, FACTS));
  assert.equal(first(await session.run(chainFeeds(2))), chainOutput(2));
});
