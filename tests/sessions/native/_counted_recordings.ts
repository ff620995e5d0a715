// Counts the runs that a device played from a recording, or recorded, until it is disposed.

import { RecordedRuns } from "../../../sessions/native/_recorded_runs.ts";

/** A count of recorded runs. */
export interface CountedRecordings extends Disposable {
  count: number;
}

/** Begins to count. */
export function countRecordings(): CountedRecordings {
  const run = RecordedRuns.prototype.run;
  const counted = {
    count: 0,
    [Symbol.dispose]: () => void (RecordedRuns.prototype.run = run),
  };
  RecordedRuns.prototype.run = async function (call) {
    const played = await run.call(this, call);
    if (played !== null) counted.count++;
    return played;
  };
  return counted;
}
