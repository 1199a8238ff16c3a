import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import postcss from "postcss";
import { expect, test } from "vitest";

const web = join(import.meta.dirname, "..");

const sheets = readdirSync(join(web, "src/components"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".css"))
  .map((name) => join("src/components", name));

test("the components have style sheets, all of them modules", () => {
  expect(sheets.length).toBeGreaterThan(5);
  expect(sheets.filter((sheet) => !sheet.endsWith(".module.css"))).toEqual([]);
});

test.each(sheets)("%s styles nothing outside of its component", (sheet) => {
  const leaks: string[] = [];
  postcss.parse(readFileSync(join(web, sheet), "utf8")).walkRules((rule) => {
    const inKeyframes =
      rule.parent?.type === "atrule" && "name" in rule.parent && rule.parent.name === "keyframes";
    if (!inKeyframes) {
      leaks.push(...rule.selectors.filter((selector) => !/^(:where\()?\.[a-z]/i.test(selector)));
      leaks.push(...rule.selectors.filter((selector) => selector.includes(":global")));
    }
  });
  expect(leaks).toEqual([]);
});

test("the lock holds versions and digests, and no addresses of registries", () => {
  const lock = JSON.parse(readFileSync(join(web, "package-lock.json"), "utf8")) as {
    packages: Record<string, { resolved?: string; integrity?: string; link?: boolean }>;
  };
  const installed = Object.entries(lock.packages).filter(([path]) => path !== "");
  expect(installed.length).toBeGreaterThan(0);
  expect(installed.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  expect(installed.filter(([, { integrity }]) => integrity === undefined)).toEqual([]);
});
