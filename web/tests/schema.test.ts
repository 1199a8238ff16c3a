import { readFileSync } from "node:fs";
import { join } from "node:path";

import openapi, { astToString } from "openapi-typescript";
import { expect, test } from "vitest";

const CONTRACT = join(import.meta.dirname, "../../contracts/openapi.json");

test("the types are those of the contract: `npm run types` writes them anew", async () => {
  const written = readFileSync(join(import.meta.dirname, "../src/services/schema.ts"), "utf8");
  const generated = astToString(await openapi(readFileSync(CONTRACT, "utf8")));
  // The command puts a comment on top.
  expect(written.slice(written.indexOf("export interface paths"))).toBe(
    generated.slice(generated.indexOf("export interface paths")),
  );
});
