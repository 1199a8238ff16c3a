/** Fails where the built page has grown too large to be there at once. Stripe.js is not in it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/** Bytes, compressed, of everything that is needed for the first paint. */
const LIMIT = 100_000;

const dist = join(import.meta.dirname, "../dist");
const files = ["index.html", ...readdirSync(join(dist, "assets")).map((name) => `assets/${name}`)];
const sizes = files.map((name) => [name, gzipSync(readFileSync(join(dist, name))).length]);
const total = sizes.reduce((sum, [, size]) => sum + size, 0);
for (const [name, size] of sizes) {
  console.log(`${String(size).padStart(7)}  ${name}`);
}
console.log(`${String(total).padStart(7)}  in all, compressed, of ${LIMIT} bytes`);
if (total >= LIMIT) {
  console.error("The page is too large: find out what has grown (vite build says which files).");
  process.exit(1);
}
