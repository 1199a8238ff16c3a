/**
 * Takes the example out of the README, to be checked against what `npm run build:lib` has written:
 * another application sees nothing else.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What the example takes for granted, and that the types of the API are there. */
const AROUND = `
declare const auth: { accessToken: () => string | null; signIn: () => void };

type Answer = Awaited<ReturnType<ReturnType<typeof createPaymentsService>["getSubscription"]>>;
// @ts-expect-error: it is a text. Where its type is not shipped it would pass for anything.
export const status: number = ({} as Answer).status;
`;

const web = join(import.meta.dirname, "..");
const [example] =
  readFileSync(join(web, "README.md"), "utf8").match(/(?<=^```tsx\n).*?(?=^```)/ms) ?? [];
if (example === undefined) {
  throw new Error("There is no example in README.md: it begins with ```tsx.");
}
mkdirSync(join(web, ".example"), { recursive: true });
writeFileSync(join(web, ".example/example.tsx"), example + AROUND);
