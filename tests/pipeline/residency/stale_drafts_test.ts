import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepackedStream } from "../../../pipeline/residency/prepacked_stream.ts";
import { removeStaleDrafts } from "../../../pipeline/residency/stale_drafts.ts";
import { openWeightMemory } from "../../../sessions/mapped_weights/weight_memory.ts";
import { blocksModel } from "./_blocks_model.ts";
import { streaming } from "./_streaming.ts";

const KEY = "0123456789abcdef".repeat(4);
const OLD = new Date(Date.now() - 2 * 60 * 60 * 1000);

function cacheFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "hookline-drafts-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A folder with a file in it, both as old as that. */
function make(root: string, name: string, times: { folder?: Date; file?: Date } = {}): string {
  const [folder, file] = [join(root, name), join(root, name, "block.bin")];
  mkdirSync(folder);
  writeFileSync(file, "half");
  if (times.file !== undefined) utimesSync(file, times.file, times.file);
  if (times.folder !== undefined) utimesSync(folder, times.folder, times.folder);
  return name;
}

function draftName(suffix = ""): string {
  return `${KEY}.${crypto.randomUUID()}${suffix}`;
}

const BOTH_OLD = { folder: OLD, file: OLD };

Deno.test("removeStaleDrafts() removes drafts that nobody has touched for an hour, and nothing else", async () => {
  using cache = cacheFolder();
  const own = make(cache.path, draftName());
  for (const suffix of ["", ".damaged", ".stale"]) make(cache.path, draftName(suffix), BOTH_OLD);
  const kept = [
    own,
    make(cache.path, draftName()),
    make(cache.path, draftName(), { folder: OLD }), // its file grows
    make(cache.path, KEY, BOTH_OLD),
    make(cache.path, "photos", BOTH_OLD),
    make(cache.path, `${KEY}.backup`, BOTH_OLD),
  ];
  await removeStaleDrafts(cache.path, own);
  assert.deepEqual(readdirSync(cache.path).sort(), kept.sort());
});

Deno.test("prepackedStream() removes what a killed writer left, and keeps what another one writes", async () => {
  using file = blocksModel({ width: 64 });
  using cache = cacheFolder();
  using memory = openWeightMemory();
  const { host, streamed: [first] } = await streaming(file.path);
  assert.ok(first !== undefined);
  const left = make(cache.path, draftName(), BOTH_OLD);
  const written = make(cache.path, draftName());
  await prepackedStream({ host, memory, cacheFolder: cache.path }).encode(first);
  const names = readdirSync(cache.path);
  assert.equal(names.length, 2);
  assert.ok(names.includes(written) && !names.includes(left));
});

Deno.test("prepackedStream() writes once more when its own draft was taken for a dead one", async () => {
  using file = blocksModel({ width: 64 });
  using cache = cacheFolder();
  using memory = openWeightMemory();
  const { host, streamed: [first] } = await streaming(file.path);
  assert.ok(first !== undefined);
  let takenAway = 0;
  const engine: typeof host.engine = {
    name: "napi",
    version: () => host.engine.version(),
    async open(source, settings) {
      const session = await host.engine.open(source, settings);
      if (settings.savePrepacked !== undefined && takenAway === 0) {
        takenAway++;
        for (const name of readdirSync(cache.path)) {
          rmSync(join(cache.path, name), { recursive: true });
        }
      }
      return session;
    },
  };
  const stream = prepackedStream({
    host: { ...host, engine },
    memory,
    cacheFolder: cache.path,
  });
  const { source } = await stream.encode(first);
  assert.equal(takenAway, 1);
  assert.ok(source.kind === "file" && existsSync(source.path));
  assert.equal(readdirSync(cache.path).length, 1);
});
