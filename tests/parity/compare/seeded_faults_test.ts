// The promise of `compare`: the module in which a model was altered is named first. 200 models with one
// fault each, every one at another place; where the fault lies is known from how it was made.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeNpy } from "../../../formats/npy.ts";
import { compareWithEvidence } from "../../../parity/compare/compare_models.ts";
import type { CompareEvidence } from "../../../parity/compare/evidence.ts";
import { writeRepro } from "../../../parity/repro/repro.ts";
import type { Tensor } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { tensorRatio } from "../../support/module_effect.ts";
import { plainRun } from "../../support/plain_run.ts";
import { rewrite } from "../../support/harmless_rewrites.ts";
import { noNode, runRepro } from "../../support/run_repro.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import { type SeededFault, seededFaults, tiedFaults } from "../../support/seeded_faults.ts";
import { decodeModel } from "../../support/subject_models.ts";

const COUNT = 200;
/** In how many of a hundred cases the module must be named first. */
const NAMED_PERCENT = 99;

/** One side of a repro, as `repro.json` lists it. */
interface ReproPart {
  readonly file: string;
  readonly inputs: readonly { readonly name: string; readonly file: string }[];
}

/** What of `repro.json` is read here. */
interface ReproDocument {
  readonly candidate: ReproPart;
  readonly reference: ReproPart | null;
  readonly outputs: readonly {
    readonly candidate: string;
    readonly reference: string;
    readonly expected: string;
  }[];
}

let made: Promise<SeededFault[]> | undefined;

/** The faults, made once. */
function allFaults(): Promise<SeededFault[]> {
  return made ??= seededFaults(COUNT);
}

Deno.test("seededFaults() alters 200 places, each seen at the output of the module that owns it", async () => {
  const faults = await allFaults();
  assert.equal(faults.length, COUNT);
  const places = faults.map(({ description }) => description.replace(/: [^:]*$/, ""));
  assert.equal(new Set(places).size, COUNT);
  const groups = Map.groupBy(faults, ({ subject, kind }) => `${subject.name} ${kind}`);
  assert.equal(groups.size, 25);
  for (const [group, { length }] of groups) assert.equal(length, COUNT / 25, group);
  for (const { effect, description } of faults) assert.ok(effect >= 2, description);
});

/** What one comparison came to. */
interface Outcome {
  readonly fault: SeededFault;
  readonly status: string;
  readonly named: readonly string[];
  /** What is wrong with the repro; null when nothing is. */
  readonly reproProblem: string | null;
}

let compared: Promise<Outcome[]> | undefined;

/** Every fault compared and reproduced, once. */
function outcomes(): Promise<Outcome[]> {
  return compared ??= (async () => {
    const found: Outcome[] = [];
    for (const fault of await allFaults()) found.push(await outcomeOf(fault));
    return found;
  })();
}

async function outcomeOf(fault: SeededFault): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-fault-"));
  try {
    let reproProblem: string | null = "no repro was asked for";
    const { status, introducedBy } = await compareWithEvidence(fault.subject.bytes, fault.bytes, {
      feeds: fault.subject.feeds,
      provider: "cpu",
      evidence: async (evidence) => {
        reproProblem = await reproFault(evidence, folder).catch(String);
      },
    });
    return { fault, status, named: introducedBy.map(({ module }) => module), reproProblem };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Writes the repro and runs what was written on ONNX Runtime alone; says what is wrong with it. */
async function reproFault(evidence: CompareEvidence, folder: string): Promise<string | null> {
  await writeRepro(evidence, folder);
  const { candidate, reference, outputs }: ReproDocument = JSON.parse(
    readFileSync(join(folder, "repro.json"), "utf8"),
  );
  const nodes = decodeModel(readFileSync(join(folder, candidate.file))).graph?.node.length ?? 0;
  const nodesOfModel = evidence.candidate.structure.proto.graph?.node.length ?? 0;
  if (nodes > 3 && nodes >= 0.05 * nodesOfModel) return `${nodes} of ${nodesOfModel} nodes`;
  const read = (file: string) => decodeNpy(readFileSync(join(folder, file)), file);
  const worstOf = async (part: ReproPart, side: "candidate" | "reference"): Promise<number> => {
    const feeds = Object.fromEntries(part.inputs.map(({ name, file }) => [name, read(file)]));
    const found = await plainRun(join(folder, part.file), feeds, "all");
    return Math.max(
      ...outputs.map((output) => tensorRatio(read(output.expected), found[output[side]] as Tensor)),
    );
  };
  const shown = await worstOf(candidate, "candidate");
  if (!(shown > 1)) return `the candidate's part is off by ${shown} tolerances only`;
  const plain = reference === null ? 0 : await worstOf(reference, "reference");
  return plain <= 1 ? null : `the reference's part is off by ${plain} tolerances`;
}

Deno.test("compareModels() names the altered module first in 99 of 100 models", async () => {
  const misses = (await outcomes()).filter(({ fault, status, named }) =>
    status !== "diverged" || !fault.ownerPaths.includes(named[0] ?? "none")
  ).map(missOf);
  for (const miss of misses) console.log(miss);
  assert.ok(misses.length <= COUNT * (100 - NAMED_PERCENT) / 100, misses.join("\n"));
});

Deno.test("compareModels() names no module that was not altered in 99 of 100 models", async () => {
  const others = (await outcomes()).filter(({ fault, named }) =>
    named.some((path) => !fault.ownerPaths.includes(path))
  ).map(missOf);
  assert.ok(others.length <= COUNT * (100 - NAMED_PERCENT) / 100, others.join("\n"));
});

Deno.test("writeRepro() shows every fault in a part of few nodes, on ONNX Runtime alone", async () => {
  const bad = (await outcomes()).filter(({ reproProblem }) => reproProblem !== null)
    .map((outcome) => `${outcome.reproProblem}\n  ${missOf(outcome)}`);
  assert.deepEqual(bad, []);
});

Deno.test({
  ...skippable("writeRepro() writes a script that shows the fault to whoever runs it", noNode()),
  async fn() {
    const faults = (await allFaults()).filter((_, index) => index % 50 === 0);
    for (const { subject, bytes, description } of faults) {
      const folder = mkdtempSync(join(tmpdir(), "hookline-fault-"));
      try {
        await compareWithEvidence(subject.bytes, bytes, {
          feeds: subject.feeds,
          evidence: async (evidence) => {
            await writeRepro(evidence, folder);
          },
        });
        const { status, text } = runRepro(folder);
        assert.equal(status, 1, `${description}\n${text}`);
        assert.match(text, /candidate .* times too much/);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }
  },
});

Deno.test("compareModels() names the altered module in models that were rewritten as well", async () => {
  const misses: string[] = [];
  const faults = (await allFaults()).filter((_, index) => index % 5 === 0);
  for (const [seed, fault] of faults.entries()) {
    const { subject, bytes, ownerPaths } = fault;
    const kinds = ["reorder", "rename", "identity", "opset"] as const;
    const rewritten = rewrite({ ...subject, bytes }, kinds, seededRandom(1_000 + seed));
    const { status, introducedBy } = await compareWithEvidence(subject.bytes, rewritten.bytes, {
      feeds: subject.feeds,
    });
    const named = introducedBy.map(({ module }) => module);
    if (ownerPaths.includes(named[0] ?? "none")) continue;
    misses.push(missOf({ fault, status, named, reproProblem: rewritten.description }));
  }
  // Where all names are lost and a weight is another, a module may find no partner and is not compared.
  assert.ok(misses.length <= 0.1 * faults.length, misses.join("\n"));
});

for (const name of ["exports/tied_merged", "exports/dynamo_tied"]) {
  Deno.test(`compareModels() names a user of an altered tied weight first, in ${name}`, async () => {
    const faults = await tiedFaults(name);
    assert.ok(faults.length >= 12);
    for (const { subject, bytes, ownerPaths, description } of faults) {
      const { introducedBy } = await compareWithEvidence(subject.bytes, bytes, {
        feeds: subject.feeds,
      });
      assert.ok(ownerPaths.includes(introducedBy[0]?.module ?? "none"), description);
      const named = introducedBy.filter(({ module }) => !ownerPaths.includes(module));
      assert.deepEqual(named, [], description);
    }
  });
}

function missOf({ fault, status, named }: Outcome): string {
  const { owner, description, effect } = fault;
  return `${owner.module.path || "(the model)"}, ${effect.toPrecision(3)} tolerances: ${status}, ` +
    `${named.slice(0, 3).join(" then ") || "none named"}\n  ${description}`;
}
