import { type Browser, chromium } from "playwright-core";

/** Starts the Chromium of this machine: the one named by CHROMIUM, else Debian's. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Root, as in a container, has no sandbox to run a browser in.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
}
