// What is written for a call that errs, and that it shows the error without anything of this project.

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type GraphProto, ModelProtoSchema, type NodeProto } from "onnx-buf";
import { walkTensors } from "../../../graph/walk_tensors.ts";
import { writeCallRepro } from "../../../parity/repro/call_repro.ts";
import { decodeNpy } from "../../../formats/npy.ts";
import { skippable } from "../../skippable.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { floats, modelBytes, type ModelParts, node, valueInfo } from "../../support/build_model.ts";
import { rampTensor } from "../../support/run_model.ts";
import { noNode, runRepro } from "../../support/run_repro.ts";
import { seededFaults } from "../../support/seeded_faults.ts";
import { decodeModel } from "../../support/subject_models.ts";
import { hostOf, wholeCall } from "./_call_sides.ts";

const SIZE = 32;
const FEEDS = { x: rampTensor([2, SIZE]) };

/** Three layers with weights that stay in the file, one of them scaled. */
function layers(scale = 1): ModelParts {
  return {
    nodes: [
      node("MatMul", ["x", "w0"], ["a"]),
      node("Relu", ["a"], ["b"]),
      node("MatMul", ["b", "w1"], ["c"]),
      node("Relu", ["c"], ["y"]),
    ],
    inputs: [valueInfo("x", "float32", ["n", SIZE])],
    outputs: [valueInfo("y", "float32", ["n", SIZE])],
    initializers: [
      floats("w0", [SIZE, SIZE]),
      floats("w1", [SIZE, SIZE], (index) => scale * ((index * 13) % 17 - 8) / 16),
    ],
  };
}

async function inFolder(check: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-repro-"));
  try {
    await check(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Both models as files, so that their weights are references. */
function requestIn(folder: string, candidate: ModelParts) {
  const paths = ["reference.onnx", "candidate.onnx"].map((name) => join(folder, name));
  writeFileSync(paths[0] as string, modelBytes(layers()));
  writeFileSync(paths[1] as string, modelBytes(candidate));
  const [left, right] = paths.map(hostOf);
  const call = wholeCall(left as ReturnType<typeof hostOf>, right as typeof left & object, FEEDS);
  return { ...call, module: "mlp", className: "Mlp", call: 0 };
}

Deno.test("writeCallRepro() writes a folder that needs nothing else", () =>
  inFolder(async (folder) => {
    const directory = join(folder, "deep", "repro");
    const repro = await writeCallRepro(requestIn(folder, layers(1.5)), directory);
    assert.deepEqual(repro.operators, ["MatMul"]);
    assert.deepEqual([repro.nodes, repro.nodesOfModel, repro.hasReference], [1, 4, true]);
    assert.ok((repro.error?.ratio ?? 0) > 1);
    for (const name of ["candidate.onnx", "reference.onnx"]) {
      const model = fromBinary(ModelProtoSchema, readFileSync(join(directory, name)));
      assert.equal(model.graph?.node.length, 1);
      for (const { dataLocation } of walkTensors(model)) assert.equal(dataLocation, 0);
    }
    const document = JSON.parse(readFileSync(join(directory, "repro.json"), "utf8"));
    assert.equal(document.format, "hookline-repro");
    const [output] = document.outputs;
    const [wanted, found] = [output.expected, output.candidateFile].map((file: string) =>
      decodeNpy(readFileSync(join(directory, file)), file)
    );
    assert.deepEqual(wanted?.shape, [2, SIZE]);
    assert.notDeepEqual(wanted?.data, found?.data);
    assert.deepEqual(document.candidate.inputs[0].file, document.reference.inputs[0].file);
    const issue = readFileSync(join(directory, "ISSUE.md"), "utf8");
    assert.ok(!issue.includes(folder), "no path of this machine");
    assert.match(issue, /`candidate\.onnx` differs from `reference\.onnx`: `mlp` \(Mlp\)/);
  }));

Deno.test({
  ...skippable("writeCallRepro()'s script shows the error on plain ONNX Runtime", noNode()),
  fn: () =>
    inFolder(async (folder) => {
      const directory = join(folder, "repro");
      await writeCallRepro(requestIn(folder, layers(1.5)), directory);
      const shown = runRepro(directory);
      assert.equal(shown.status, 1, shown.text);
      assert.match(shown.text, /^candidate .* times too much$/m);
      assert.match(shown.text, /^reference .* good$/m);
      // Mended, the same folder says so: the weights of the reference in the candidate's place.
      writeFileSync(
        join(directory, "candidate.onnx"),
        readFileSync(join(directory, "reference.onnx")),
      );
      const mended = runRepro(directory);
      assert.equal(mended.status, 0, mended.text);
    }),
});

Deno.test({
  ...skippable("writeCallRepro()'s script shows nodes that cannot run", noNode()),
  fn: () =>
    inFolder(async (folder) => {
      const broken = layers();
      const bytes = modelBytes({
        ...broken,
        nodes: broken.nodes?.map((one, index) =>
          index === 2 ? node("Reshape", ["b", "sizes"], ["c"]) : one
        ) ?? [],
        initializers: [...broken.initializers ?? [], sizesTensor()],
      });
      writeFileSync(join(folder, "broken.onnx"), bytes);
      const request = requestIn(folder, layers());
      const candidate = hostOf(join(folder, "broken.onnx"));
      const call = { ...request, ...wholeCall(request.reference.host, candidate, FEEDS) };
      const repro = await writeCallRepro(call, join(folder, "repro"));
      assert.deepEqual([repro.operators, repro.error], [["Reshape"], null]);
      const { status, text } = runRepro(join(folder, "repro"));
      assert.equal(status, 1, text);
      assert.match(text, /does not run on the reference's inputs/);
    }),
});

function sizesTensor() {
  const sizes = floats("sizes", [2]);
  sizes.dataType = 7;
  sizes.rawData = new Uint8Array(BigInt64Array.of(5n, 5n).buffer);
  return sizes;
}

Deno.test("writeCallRepro() refuses what shows no error, is too large, or has no place", () =>
  inFolder(async (folder) => {
    const directory = join(folder, "repro");
    await expectCode(
      "REPRO_NOT_SHOWN",
      () => writeCallRepro(requestIn(folder, layers()), directory),
    );
    assert.ok(!existsSync(directory));
    const request = requestIn(folder, layers(2));
    await expectCode(
      "REPRO_TOO_LARGE",
      () => writeCallRepro({ ...request, byteLimit: 1000 }, directory),
    );
    const error = await expectCode(
      "FILE_WRITE",
      () => writeCallRepro(request, join(folder, "reference.onnx", "inside")),
    );
    assert.match(error.fix, /folder/);
  }));

/** The model without any name that could help, and what each value is called now. */
function withoutNames(bytes: Uint8Array): { bytes: Uint8Array; rename: (name: string) => string } {
  const model = decodeModel(bytes);
  const graph = model.graph as GraphProto;
  const kept = new Set([...graph.input, ...graph.output].map(({ name }) => name));
  const names = new Map<string, string>();
  const rename = (name: string): string => {
    if (name === "" || kept.has(name)) return name;
    const known = names.get(name) ?? `v${names.size}`;
    names.set(name, known);
    return known;
  };
  const renamed = (one: NodeProto): void => {
    one.name = "";
    one.input = one.input.map(rename);
    one.output = one.output.map(rename);
  };
  graph.node.forEach(renamed);
  for (const tensor of graph.initializer) tensor.name = rename(tensor.name);
  graph.valueInfo = [];
  return { bytes: modelBytes(model), rename };
}

Deno.test({
  ...skippable(
    "writeCallRepro() finds 60 seeded faults in models without names: at most 3 nodes or 5 %",
    noNode(),
  ),
  fn: () =>
    inFolder(async (folder) => {
      const faults = await seededFaults(60);
      for (const [index, { subject, owner, bytes, description }] of faults.entries()) {
        const bare = withoutNames(bytes);
        const [reference, candidate] = [hostOf(subject.bytes), hostOf(bare.bytes)];
        const { nodes, inputs, outputs } = owner.call;
        const border = [...inputs, ...outputs];
        const directory = join(folder, String(index));
        const repro = await writeCallRepro({
          module: owner.module.path,
          className: null,
          call: 0,
          reference: { host: reference, feeds: subject.feeds, nodes },
          candidate: {
            host: candidate,
            feeds: subject.feeds,
            nodes: nodesWithin(candidate.structure.graph, {
              inputs: inputs.map(bare.rename),
              outputs: outputs.map(bare.rename),
            }),
          },
          outputs: outputs.map(bare.rename),
          partners: new Map(border.map((name) => [bare.rename(name), name])),
        }, directory);
        const isSmall = repro.nodes <= 3 || repro.nodes < 0.05 * repro.nodesOfModel;
        assert.ok(isSmall, `${description}: ${repro.nodes} of ${repro.nodesOfModel} nodes`);
        assert.ok(repro.error === null || repro.error.ratio > 1, description);
        if (index % 6 === 0) assert.equal(runRepro(directory).status, 1, description);
      }
    }),
});

/** The nodes that compute a call's outputs from its inputs. */
function nodesWithin(
  graph: ReturnType<typeof hostOf>["structure"]["graph"],
  { inputs, outputs }: { readonly inputs: readonly string[]; readonly outputs: readonly string[] },
): number[] {
  const found = new Set<number>();
  const waiting = [...outputs];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    const producer = graph.producerOf(value);
    if (producer === undefined || found.has(producer) || graph.nodes[producer]?.isConstant) {
      continue;
    }
    found.add(producer);
    waiting.push(...(graph.nodes[producer]?.inputs ?? []).filter((name) => !inputs.includes(name)));
  }
  return [...found].sort((left, right) => left - right);
}

Deno.test("writeCallRepro() takes an earlier repro away and leaves other files alone", () =>
  inFolder(async (folder) => {
    const directory = join(folder, "repro");
    await writeCallRepro(requestIn(folder, layers(1.5)), directory);
    const before = readdirSync(directory).sort();
    for (const name of ["07.in.secret.npy", "notes.txt", "01.mine.npy"]) {
      writeFileSync(join(directory, name), "");
    }
    await writeCallRepro(requestIn(folder, layers(1.5)), directory);
    assert.deepEqual(readdirSync(directory).sort(), [...before, "01.mine.npy", "notes.txt"].sort());
    const strange = join(folder, "strange");
    mkdirSync(strange);
    for (const name of ["repro.json", "07.in.mine.npy"]) writeFileSync(join(strange, name), "{}");
    await writeCallRepro(requestIn(folder, layers(1.5)), strange);
    assert.ok(existsSync(join(strange, "07.in.mine.npy")));
  }));
