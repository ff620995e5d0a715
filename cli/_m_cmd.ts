import { Command } from "@commander-js/extra-typings";
const p = new Command("x").command("inspect <m>").option("--json").action((m)=>console.log(m));
await p.parseAsync(["node","x","a"]);
