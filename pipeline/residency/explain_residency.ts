// A schedule in words for people: what moves, how, and what it is expected to cost.

import { nameOf } from "../demand.ts";
import type { ResidencyForecast } from "./forecast.ts";
import type { HostPlacement } from "./host_placement.ts";
import type { ResidencySchedule } from "./schedule.ts";

/** The lines that `explain` prints for a schedule. */
export function explainResidency(schedule: ResidencySchedule): readonly string[] {
  const { blocks, forecast, strategy, because, ahead, cacheFolder } = schedule;
  const streamed = blocks.filter((block) => block.placement === "streamed");
  if (streamed.length === 0) {
    return ["weights: all of them fit and stay in memory"];
  }
  const resident = blocks.filter((block) => block.placement === "resident");
  const stays = resident.length === 0
    ? ""
    : `; ${resident.map((block) => nameOf({ path: block.module })).join(", ")} stay`;
  const { streamedByteLength, numerics } = forecast;
  return [
    `weights: ${streamed.length} of ${blocks.length} blocks are streamed, ${
      megabytes(streamedByteLength)
    } a run${stays}`,
    `  strategy ${strategy}: ${because}${ahead === 0 ? "" : `; fetches ${ahead} ahead`}`,
    ...(schedule.host === null ? ofProcess(forecast) : ofDevice(schedule, schedule.host)),
    ...(strategy === "prepacked" && cacheFolder !== null
      ? [`  files: about ${megabytes(2 * streamedByteLength)} in ${JSON.stringify(cacheFolder)}`]
      : []),
    numerics === "bit-exact"
      ? "  numbers: those of the same cuts with resident weights, bit for bit"
      : "  numbers: may differ from resident weights in the last digits, because nothing is prepacked",
  ];
}

function ofProcess(forecast: ResidencyForecast): readonly string[] {
  const { peakByteLength, streamedByteLength, residentByteLength, hotRatio } = forecast;
  return [
    `  expected: ${megabytes(peakByteLength)} above the memory before a run${
      forecast.activationByteLength === null ? ", and activations" : ""
    }; ${megabytes(residentByteLength)} of weights stay`,
    `  expected: about ${
      hotRatio.toFixed(2)
    } of a resident run's time when the files are cached, else no less than reading ${
      megabytes(streamedByteLength)
    }`,
  ];
}

/** No ratio is foretold: it is the device's, its bus's and the disk's. */
function ofDevice({ forecast, blocks }: ResidencySchedule, host: HostPlacement): readonly string[] {
  const { peakByteLength, streamedByteLength, residentByteLength } = forecast;
  const streamed = blocks.filter((block) => block.placement === "streamed").length;
  const staying = host.modules.length;
  return [
    `  expected on the device: ${megabytes(peakByteLength)} during a run${
      forecast.activationByteLength === null ? ", and activations" : ""
    }; ${megabytes(residentByteLength)} of weights stay`,
    `  expected in the process: ${megabytes(host.byteLength)}, where ${
      staying === streamed
        ? "all of these weights stay"
        : `those of ${staying} blocks stay and those of ${
          streamed - staying
        } are read for each call`
    }`,
    `  expected: no less time than copying ${megabytes(streamedByteLength)} to the device`,
  ];
}

function megabytes(byteLength: number): string {
  const size = byteLength / 1e6;
  return `${size >= 100 ? size.toFixed(0) : size.toFixed(size >= 1 ? 1 : 3)} MB`;
}
