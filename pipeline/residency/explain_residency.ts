// A schedule in words for people: what moves, how, and what it is expected to cost.

import { nameOf } from "../demand.ts";
import type { ResidencySchedule } from "./schedule.ts";

/** The lines that `explain` prints for a schedule. */
export function explainResidency(schedule: ResidencySchedule): readonly string[] {
  const { blocks, forecast, strategy, because, ahead } = schedule;
  const streamed = blocks.filter((block) => block.placement === "streamed");
  if (streamed.length === 0) {
    return ["weights: all of them fit and stay in memory"];
  }
  const resident = blocks.filter((block) => block.placement === "resident");
  const stays = resident.length === 0
    ? ""
    : `; ${resident.map((block) => nameOf({ path: block.module })).join(", ")} stay`;
  const { peakByteLength, streamedByteLength, residentByteLength, numerics, hotRatio } = forecast;
  return [
    `weights: ${streamed.length} of ${blocks.length} blocks are streamed, ${
      megabytes(streamedByteLength)
    } a run${stays}`,
    `  strategy ${strategy}: ${because}${ahead === 0 ? "" : `; fetches ${ahead} ahead`}`,
    `  expected: ${megabytes(peakByteLength)} above the memory before a run${
      forecast.activationByteLength === null ? ", and activations" : ""
    }; ${megabytes(residentByteLength)} of weights stay`,
    `  expected: about ${
      hotRatio.toFixed(2)
    } of a resident run's time when the files are cached, else no less than reading ${
      megabytes(streamedByteLength)
    }`,
    numerics === "bit-exact"
      ? "  numbers: those of the same cuts with resident weights, bit for bit"
      : "  numbers: may differ from resident weights in the last digits, because nothing is prepacked",
  ];
}

function megabytes(byteLength: number): string {
  const size = byteLength / 1e6;
  return `${size >= 100 ? size.toFixed(0) : size.toFixed(size >= 1 ? 1 : 3)} MB`;
}
