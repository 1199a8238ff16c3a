import css from "./Badge.module.css";
import type { StatusText } from "./status";

/** A state in a word or two; its colour says nothing that the word does not. */
export function Badge({ label, tone }: StatusText) {
  return <span className={`${css.badge ?? ""} ${css[tone] ?? ""}`}>{label}</span>;
}
