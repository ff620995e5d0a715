// The version that the command line prints. A test holds it equal to deno.json, which a package that was
// installed need not carry.

/** The version of Hookline. */
export const VERSION = "0.1.0";
