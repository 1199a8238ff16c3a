import axe from "axe-core";
import type { Page } from "playwright-core";

declare global {
  interface Window {
    axe: typeof axe;
  }
}

/** What is not accessible on a page, contrast and all, as axe finds it: one line for each. */
export async function violationsOf(page: Page): Promise<string[]> {
  // Through the debugger, since the page's Content-Security-Policy lets no foreign script in.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary ?? ""}`),
  );
}
