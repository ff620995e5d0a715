// Streams weights from files that ONNX Runtime wrote in its own layout: a session opened from them maps
// them as they are, so it computes at full speed and with the bits of a resident one. The files are a
// cache: keyed by all that they depend on, written once, never read by anything but ONNX Runtime.
//
// They hold the weights as they were, too. ONNX Runtime 1.29 packs those again when it opens a session and
// takes the packed ones of the file only where the hashes agree (zeroed, it computes with zeros), and it
// looks for both in one file. After that it maps the packed ones alone, so a run reads each weight once.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { HooklineError } from "../../errors/hookline_error.ts";
import { fileFingerprint } from "../../graph/file_fingerprint.ts";
import { encodePart } from "../../graph/sub_model.ts";
import type { FileRange, WeightMemory } from "../../sessions/mapped_weights/weight_memory.ts";
import {
  type SegmentOpening,
  segmentOpening,
  type SessionHost,
  sessionSettings,
} from "../segment_opening.ts";
import { copyInLargePieces } from "./large_writes.ts";
import { MappedPages } from "./mapped_stream.ts";
import { packedLast } from "./packed_layout.ts";
import { removeStaleDrafts } from "./stale_drafts.ts";
import type { StreamedSegment, WeightStream } from "./weight_stream.ts";

/** What a stream of prepacked weights needs. */
export interface PrepackedStreamOptions {
  readonly host: SessionHost;
  readonly memory: WeightMemory;
  /** The folder to write to; made when it is not there. */
  readonly cacheFolder: string;
}

const MODEL_NAME = "block.onnx";
const DATA_NAME = "block.bin";
/** Says how long the two files are: what a crash or a full disk cut off is written anew. */
const SIZES_NAME = "sizes.json";

/** Weights mapped from files in ONNX Runtime's own layout. */
export function prepackedStream(options: PrepackedStreamOptions): WeightStream {
  const pages = new MappedPages(options.memory);
  const folders = new Map<string, string[]>();
  return {
    comesByItself: true,
    keepsSessions: true,
    async encode(streamed) {
      const { opening, folder } = await prepackedOpening(options, streamed);
      folders.set(streamed.module, [...folders.get(streamed.module) ?? [], folder]);
      return opening;
    },
    opened() {
      pages.find(new Map([...folders].map(([module, paths]) => [module, paths.map(dataOf)])));
    },
    fetch: (module) => pages.fetch(module),
    release: (module) => pages.release(module),
    session: () => null,
    closed: () => pages.forget(),
  };
}

/** The whole of a folder's data file: no other session maps it. */
function dataOf(folder: string): FileRange {
  const path = join(folder, DATA_NAME);
  return { path, byteOffset: 0, byteLength: existsSync(path) ? statSync(path).size : 0 };
}

async function prepackedOpening(
  { host, memory, cacheFolder }: PrepackedStreamOptions,
  { segment, inputs }: StreamedSegment,
): Promise<{ readonly opening: SegmentOpening; readonly folder: string }> {
  const { structure } = host;
  const part = encodePart(structure.proto, structure.graph, {
    nodes: segment.nodes,
    inputs,
    outputs: segment.outputs,
  });
  const label = `${structure.skeleton.label}, segment ${segment.index}`;
  const plain = segmentOpening(host, {
    source: { kind: "bytes", bytes: part.bytes, weightFolder: structure.weightFolder },
    label,
    byteLength: part.bytes.byteLength,
  });
  const key = createHash("sha256").update(JSON.stringify([
    plain.key,
    [...structure.files].map(fileFingerprint),
    await host.engine.version(),
    host.provider,
    memory.processor,
  ])).digest("hex");
  const folder = await written(host, plain, { cacheFolder, key });
  const opening = segmentOpening(host, {
    source: { kind: "file", path: join(folder, MODEL_NAME) },
    label,
    byteLength: part.bytes.byteLength,
  }, { sharesArena: true });
  return { opening, folder };
}

/** How often a damaged folder is moved away before giving up. */
const TAKING_ATTEMPTS = 5;

/** Folders that are being written by this process, by path. */
const writing = new Map<string, Promise<string>>();

/** The folder of the files, which are written when they are not there. */
async function written(
  host: SessionHost,
  opening: SegmentOpening,
  { cacheFolder, key }: { readonly cacheFolder: string; readonly key: string },
): Promise<string> {
  try {
    await mkdir(cacheFolder, { recursive: true });
    const root = await realpath(resolve(cacheFolder));
    const folder = join(root, key);
    const known = writing.get(folder);
    if (known !== undefined) return await known;
    if (isWhole(folder)) return folder;
    const made = writeFolder(host, opening, folder);
    writing.set(folder, made);
    return await made.finally(() => writing.delete(folder));
  } catch (cause) {
    if (cause instanceof HooklineError) throw cause;
    throw new HooklineError("FILE_WRITE", {
      message: `cannot write prepacked weights to "${cacheFolder}"`,
      fix: "give a cacheFolder that this process may write to, with room for twice the weights",
      details: { path: cacheFolder },
      cause,
    });
  }
}

/** How often a draft is begun that is then taken for a dead writer's: after a machine slept, say. */
const DRAFTING_ATTEMPTS = 2;

/** Written beside and renamed: whoever else writes it too, nobody sees half of it. */
async function writeFolder(
  host: SessionHost,
  opening: SegmentOpening,
  folder: string,
): Promise<string> {
  for (let attempt = 1;; attempt++) {
    const draft = `${folder}.${crypto.randomUUID()}`;
    await mkdir(draft);
    try {
      await removeStaleDrafts(dirname(draft), basename(draft));
      await write(host, opening, draft);
      await takePlace(draft, folder);
      return folder;
    } catch (error) {
      if (existsSync(draft) || attempt === DRAFTING_ATTEMPTS) throw error;
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }
}

/** Whether both files are as long as they were written. */
function isWhole(folder: string): boolean {
  try {
    return readFileSync(join(folder, SIZES_NAME), "utf8") === sizesOf(folder);
  } catch {
    return false; // one of the three is missing
  }
}

function sizesOf(folder: string): string {
  // A module without large weights has no data file.
  const data = join(folder, DATA_NAME);
  return JSON.stringify([
    statSync(join(folder, MODEL_NAME)).size,
    existsSync(data) ? statSync(data).size : null,
  ]);
}

/**
 * Puts a complete draft under its name, unless somebody else has put one there meanwhile. What is damaged
 * is moved away as a whole: removing it where it stands might take what another process puts there.
 */
async function takePlace(draft: string, folder: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await rename(draft, folder);
    } catch (error) {
      if (isWhole(folder)) return;
      if (attempt === TAKING_ATTEMPTS) throw error;
    }
    const damaged = `${draft}.damaged`;
    await rename(folder, damaged).catch(() => {}); // gone already: somebody else mends it too
    await rm(damaged, { recursive: true, force: true });
  }
}

async function write(host: SessionHost, opening: SegmentOpening, draft: string): Promise<void> {
  host.structure.requireUnchanged();
  const session = await host.engine.open(opening.source, {
    ...sessionSettings(host, opening),
    savePrepacked: { modelPath: join(draft, MODEL_NAME), dataName: DATA_NAME },
  });
  await session.release();
  if (!existsSync(join(draft, MODEL_NAME))) {
    throw new Error(`engine ${host.engine.name} did not write ${MODEL_NAME}`);
  }
  const data = join(draft, DATA_NAME);
  if (existsSync(data)) {
    const model = join(draft, MODEL_NAME);
    const layout = packedLast(readFileSync(model));
    await rename(data, `${data}.small`);
    copyInLargePieces(`${data}.small`, data, layout?.pieces);
    if (layout !== null) await writeFile(model, layout.model);
    await rm(`${data}.small`);
  }
  await writeFile(join(draft, SIZES_NAME), sizesOf(draft));
}
