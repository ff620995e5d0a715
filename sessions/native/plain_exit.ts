// Ends the process without the destructors of C++ libraries. Deno exits while other threads compute; exit()
// would take away the tables that ONNX Runtime looks types and kernels up in, and a session that is being
// opened at that moment crashes the process: 4 of 31 exits during openings, and 7 more printed errors (ONNX
// Runtime 1.29). Deno has flushed what it writes by then, and C's own buffers are flushed here.
//
// Handlers of exit() run last registered first. ONNX Runtime makes tables on first use, so the handler is
// registered again for the first openings.

/** More tables than those of so many openings are not expected. */
const MOST_REGISTRATIONS = 16;

const SYMBOLS = {
  on_exit: { parameters: ["pointer", "pointer"], result: "i32" },
  __cxa_atexit: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
  dlsym: { parameters: ["pointer", "buffer"], result: "pointer" },
} as const;

let registrations = 0;

/** Lets the process end at once when it ends. Does nothing but on Linux with glibc. */
export function endPlainly(): void {
  if (registrations >= MOST_REGISTRATIONS || Deno.build.os !== "linux") return;
  registrations++;
  try {
    const library = Deno.dlopen("libc.so.6", SYMBOLS);
    try {
      register(library.symbols);
    } finally {
      library.close(); // the C library stays
    }
  } catch {
    registrations = MOST_REGISTRATIONS; // another C library
  }
}

function register(
  { on_exit, __cxa_atexit, dlsym }: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"],
): void {
  const find = (name: string): Deno.PointerValue =>
    dlsym(null, new TextEncoder().encode(`${name}\0`)); // RTLD_DEFAULT
  const [end, flush] = [find("_exit"), find("fflush")];
  if (end === null || flush === null) return;
  on_exit(end, null); // gets the exit code
  __cxa_atexit(flush, null, null); // fflush(NULL), before that
}
