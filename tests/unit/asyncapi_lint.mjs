// Prints what AsyncAPI's own parser has to say of the document named: one line of JSON for each.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, path] = process.argv.slice(2);
const { Parser } = createRequire(`${modules}/`)("@asyncapi/parser");
for (const { code, message, path: where } of await new Parser().validate(readFileSync(path, "utf8"))) {
  console.log(JSON.stringify({ code, message, where: where.join(".") }));
}
