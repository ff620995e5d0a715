import assert from "node:assert/strict";
import { openModel } from "../../pipeline/open_model.ts";
import { checkOutputNames, checkRunOptions } from "../../pipeline/run_options.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { chainFeeds, chainModel } from "./_small_models.ts";

Deno.test("checkRunOptions() takes a signal, outputs and a plan", () => {
  checkRunOptions({});
  checkRunOptions({ signal: AbortSignal.timeout(0), outputs: ["y"], plan: {} });
  checkRunOptions({ signal: undefined, outputs: [] });
});

Deno.test("checkRunOptions() names the option that is wrong", async () => {
  for (
    const [options, option] of [
      [{ signal: {} }, "signal"],
      [{ signal: null }, "signal"],
      [{ outputs: "y" }, "outputs"],
      [{ outputs: [3] }, "outputs"],
      [{ plan: null }, "plan"],
      [{ output: ["y"] }, "output"],
    ] as const
  ) {
    const error = await expectCode("OPTION_INVALID", () => checkRunOptions(options));
    assert.equal(error.details["option"], option);
  }
  await expectCode("OPTION_INVALID", () => checkRunOptions("y"));
});

Deno.test("checkOutputNames() says how one name is written", async () => {
  checkOutputNames(undefined);
  const error = await expectCode("OPTION_INVALID", () => checkOutputNames("y"));
  assert.equal(error.fix, 'write outputs: ["y"]');
});

Deno.test("Model.run() and Model.plan() refuse feeds and options of another kind", async () => {
  {
    await using model = await openModel(chainModel(), { provider: "cpu" });
    for (const feeds of [null, undefined, "x", { x: 3 }, { x: null }]) {
      await expectCode("FEED_DATA", () => model.run(feeds as never));
      await expectCode("FEED_DATA", () => model.run(feeds as never, { outputs: [] }));
    }
    const bad = [{ outputs: "y" }, { signal: {} }, { ouputs: ["y"] }];
    for (const options of bad) {
      await expectCode("OPTION_INVALID", () => model.run(chainFeeds(1), options as never));
    }
    await expectCode("OPTION_INVALID", () => model.plan({ outputs: "y" as never }));
  }
  assert.equal(sessionLedger.count, 0);
});
